import { setTimeout as sleep } from "node:timers/promises";
import { POLL_MS } from "./limits.ts";

/**
 * Looks until it is so; resolves with what was seen.
 * @param look undefined and false say "not yet", and so does a rejection; an Error that it returns says "never"
 * @throws Error past the deadline, with what the last look failed of
 */
export async function until<Seen>(
  what: string,
  deadlineMs: number,
  look: () => Promise<Seen | Error | undefined | false> | Seen | Error | undefined | false,
): Promise<Seen> {
  const end = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    const seen = await Promise.resolve()
      .then(look)
      .catch((error: unknown) => {
        last = error;
        return undefined;
      });
    if (seen instanceof Error) throw seen;
    if (seen !== undefined && seen !== false) return seen;
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: last });
    await sleep(POLL_MS);
  }
}
