import { type ErrorRow, ERRORS } from "../../../protocol/error-table.ts";
import type { AttemptResult } from "../attempt-result.ts";
import type { EventRow } from "../store/event-row.ts";
import { relayDelayMs } from "./backoff.ts";
import { nextDue } from "./schedule.ts";

/** What becomes of an event. */
export type Fate =
  | { readonly state: "delivered" }
  | { readonly state: "dead"; readonly reason: string }
  | { readonly state: "pending"; readonly due: number; readonly reason: string | null };

/** What an attempt comes to. */
export interface Judgement {
  readonly fate: Fate;
  /** Whether one of the schedule's attempts is spent. */
  readonly spends: boolean;
  /** What it says of the target; null where nothing. */
  readonly target: "good" | "bad" | null;
  /** What it says of the relay: back, at fault, or without those for whom it sends. */
  readonly relay: "good" | "fault" | "held";
  /** Why the owner's deliveries are to be paused; null where they go on. */
  readonly pause: string | null;
}

/** What a judgement goes by. */
export interface Circumstances {
  readonly now: number;
  /** From 0 to 1. */
  readonly random: number;
  /** Seconds before each attempt. */
  readonly schedule: readonly number[];
}

/** Judges the result of an attempt. */
export function judge(
  { kind, spent, faults }: Pick<EventRow, "kind" | "spent" | "faults">,
  result: AttemptResult,
  circumstances: Circumstances,
): Judgement {
  const { now } = circumstances;
  const plain = { spends: false, target: null, relay: "good", pause: null } as const;
  switch (result.kind) {
    case "answered": {
      const { status } = result.answer;
      if (status >= 200 && status < 300) {
        return { ...plain, fate: { state: "delivered" }, spends: true, target: "good" };
      }
      if (status === 410) {
        const reason = "the target answered 410: it wants no more";
        if (kind !== "hook") {
          return { ...plain, fate: { state: "dead", reason }, spends: true, target: "good" };
        }
        return {
          ...plain,
          fate: { state: "pending", due: now, reason },
          target: "good",
          relay: "held",
          pause: reason,
        };
      }
      const retryAfter = status === 429 || status === 503 ? result.retryAfter : null;
      return {
        ...plain,
        fate: failed(spent, `the target answered ${status}`, circumstances, retryAfter),
        spends: true,
        target: "bad",
      };
    }
    case "failed":
      return {
        ...plain,
        fate: failed(spent, `${result.code}: ${result.detail}`, circumstances, null),
        spends: true,
        // What policy refuses never came to the target.
        target: reachesTarget(result.code) ? "bad" : null,
      };
    case "relay":
      return {
        ...plain,
        fate: {
          state: "pending",
          // Its own delay: one that alone meets the fault must not hold up those behind it for ever.
          due: now + relayDelayMs(faults + 1, result.retryAfter),
          reason: `${result.code}: ${result.detail}`,
        },
        relay: "fault",
      };
    case "held":
      return { ...plain, fate: { state: "pending", due: now, reason: result.reason }, relay: "held" };
    case "unreadable":
      return { ...plain, fate: { state: "dead", reason: `it can't be read: ${result.detail}` } };
  }
}

function failed(
  spent: number,
  reason: string,
  { now, random, schedule }: Circumstances,
  retryAfter: number | null,
): Fate {
  const seconds = schedule[spent + 1];
  if (seconds === undefined) return { state: "dead", reason };
  return { state: "pending", due: nextDue(seconds, { now, random, retryAfter }), reason };
}

function reachesTarget(code: string): boolean {
  const known = (ERRORS as Record<string, ErrorRow | undefined>)[code];
  return known === undefined || known.status >= 500;
}
