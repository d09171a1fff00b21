import { BREAKER_FAILURES, BREAKER_PROBE_MAX_MS, BREAKER_PROBE_MS } from "../../limits.ts";

/** How a target has failed lately. It is open where `probeAt` is set: from then on, one event may try the target. */
export interface Breaker {
  /** In a row. */
  readonly failures: number;
  /** Those of them since it opened. */
  readonly probes: number;
  /** Milliseconds since 1970. */
  readonly probeAt: number | null;
}

/** A target's breaker after one more attempt; undefined where there is nothing to remember. */
export function nextBreaker(
  before: Breaker | undefined,
  result: "good" | "bad",
  now: number,
): Breaker | undefined {
  if (result === "good") return undefined;
  const failures = (before?.failures ?? 0) + 1;
  if (failures < BREAKER_FAILURES) return { failures, probes: 0, probeAt: null };
  // What was under way when it opened is no probe of its own.
  if (now < (before?.probeAt ?? 0)) return { probes: 0, probeAt: null, ...before, failures };
  const isProbe = typeof before?.probeAt === "number";
  const probes = isProbe ? before.probes + 1 : 0;
  const wait = Math.min(BREAKER_PROBE_MAX_MS, BREAKER_PROBE_MS * 2 ** Math.min(probes, 16));
  return { failures, probes, probeAt: now + wait };
}
