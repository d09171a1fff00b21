import { setTimeout as sleep } from "node:timers/promises";
import { POLL_MS } from "./limits.ts";

/**
 * Looks until it is so; resolves with what was seen.
 * @param look undefined and false say "not yet"; so does a rejection
 * @throws Error past the deadline, with what the last look failed of
 */
export async function until<Seen>(
  what: string,
  deadlineMs: number,
  look: () => Promise<Seen | undefined | false> | Seen | undefined | false,
): Promise<Seen> {
  const end = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: last });
    await sleep(POLL_MS);
  }
}
