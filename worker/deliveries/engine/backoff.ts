import { RELAY_BACKOFF_MAX_MS, RELAY_BACKOFF_MS } from "../../limits.ts";

/** How the relay itself has failed lately. While it does, one event at a time finds out whether it is back. */
export interface Backoff {
  /** In a row. */
  readonly faults: number;
  /** Milliseconds since 1970: when the last one was heard of, and before when nothing is sent. */
  readonly since: number;
  readonly until: number;
}

export const NO_BACKOFF: Backoff = { faults: 0, since: 0, until: 0 };

/** 1 s, doubled with each fault in a row. */
export function backoffMs(faults: number): number {
  return Math.min(RELAY_BACKOFF_MAX_MS, RELAY_BACKOFF_MS * 2 ** Math.min(Math.max(0, faults - 1), 16));
}

/**
 * How long a fault of the relay's own is waited for. What asks for longer than the longest, as a quota that is used up does until its
 * month ends, may be mended sooner by an operator.
 *
 * @param faults in a row
 * @param retryAfter in seconds, where something said so
 */
export function relayDelayMs(faults: number, retryAfter: number | null): number {
  const asked = Math.min(Math.ceil((retryAfter ?? 0) * 1_000), RELAY_BACKOFF_MAX_MS);
  return Math.max(asked, backoffMs(faults));
}

/**
 * @param started when the attempt began that met the fault: several that were under way together met one fault
 * @param retryAfter in seconds, where something said so
 */
export function nextBackoff(
  before: Backoff,
  {
    started,
    now,
    retryAfter,
  }: { readonly started: number; readonly now: number; readonly retryAfter: number | null },
): Backoff {
  const isSame = before.faults > 0 && started < before.since;
  const faults = isSame ? before.faults : before.faults + 1;
  const until = now + relayDelayMs(faults, retryAfter);
  return {
    faults,
    since: isSame ? before.since : now,
    until: isSame ? Math.max(before.until, until) : until,
  };
}
