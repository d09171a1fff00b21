import { ATTEMPT_LOST_MS } from "../../limits.ts";
import type { RouteRecord } from "../../routes.ts";
import type { AttemptResult } from "../attempt-result.ts";
import { type EventRow, queueOf, scheduleOf } from "../store/event-row.ts";
import type { UnderWay } from "../store/totals-table.ts";
import type { EngineParts } from "./parts.ts";
import { effectiveSchedule } from "./schedule.ts";
import { storedEvent } from "./stored-event.ts";
import { type Flight, isSuspect } from "./take.ts";

/** An attempt that is under way. */
export interface Attempt extends Flight, UnderWay {
  /** Seconds before each attempt of its event. */
  readonly schedule: readonly number[];
}

/** An attempt at an event that begins now. */
export function attemptAt(row: EventRow, now: number, route: RouteRecord | undefined): Attempt {
  return {
    seq: row.seq,
    n: row.tries + 1,
    started: now,
    queue: queueOf(row),
    lane: row.lane,
    isAlone: isSuspect(row),
    schedule: effectiveSchedule(scheduleOf(row), route),
  };
}

/** What is kept of it while it is under way. */
export function underWay({ seq, n, started }: Attempt): UnderWay {
  return { seq, n, started };
}

/** Makes an attempt. Never throws, and comes to an end whatever becomes of it. */
export async function make({ seq, n }: Attempt, { store, deliver }: EngineParts): Promise<AttemptResult> {
  const fault = (detail: string): AttemptResult => ({
    kind: "relay",
    code: "edge_internal",
    detail,
    retryAfter: null,
    node: null,
    egress: null,
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const row = store.events.get(seq);
    const event = row && storedEvent(store, row, n);
    if (event === undefined) return { kind: "unreadable", detail: "its request is not there" };
    const lost = new Promise<AttemptResult>((done) => {
      timer = setTimeout(() => done(fault("the attempt came to no end")), ATTEMPT_LOST_MS);
    });
    return await Promise.race([deliver(event, store.bodies.body(row!)), lost]);
  } catch (error) {
    console.error("deliveries: an attempt failed", error);
    return fault("the edge failed in the middle of it; its log says more");
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
}
