import { isRelayError } from "../../protocol/errors.ts";

/** What a function gave: its value, or the code of the relay's failure. Any other failure is thrown on. */
export function outcome<Value>(run: () => Value): { readonly value: Value } | { readonly error: string } {
  try {
    return { value: run() };
  } catch (error) {
    if (isRelayError(error)) return { error: error.code };
    throw error;
  }
}

/** The same for a promise. */
export async function outcomeOf<Value>(
  run: () => Promise<Value>,
): Promise<{ readonly value: Value } | { readonly error: string }> {
  try {
    return { value: await run() };
  } catch (error) {
    if (isRelayError(error)) return { error: error.code };
    throw error;
  }
}

/** What the relay's failure says; undefined where there was none. */
export async function messageOf(run: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (isRelayError(error)) return error.message;
    throw error;
  }
}

/** A small seeded generator (mulberry32): a failing case is found again by its seed. */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
