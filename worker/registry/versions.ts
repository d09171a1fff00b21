/** A record with its version, which counts its changes from 1. */
export interface Versioned<T> {
  readonly version: number;
  readonly record: T;
}

/** What a write expects to find: one version, nothing, or any version at all. */
export type Expected = number | "none" | "any";

/** Whether what was found is what was expected. */
export function matches(expected: Expected, found: number | undefined): boolean {
  if (expected === "none") return found === undefined;
  return expected === "any" ? found !== undefined : found === expected;
}
