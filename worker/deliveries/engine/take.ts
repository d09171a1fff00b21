import { INTERRUPTIONS_SUSPECT } from "../../limits.ts";
import type { EventRow } from "../store/event-row.ts";
import type { Store } from "../store/store.ts";

/** An attempt that is under way, as far as it matters for what may be begun besides it. */
export interface Flight {
  readonly seq: number;
  readonly queue: string;
  readonly lane: string | null;
  readonly isAlone: boolean;
}

/** What is tried now: at most so many of those that are due, the one that has been so for longest first. */
export function takeDue(store: Store, flights: readonly Flight[], limit: number, now: number): EventRow[] {
  if (limit <= 0 || flights.some(({ isAlone }) => isAlone)) return [];
  const breakers = store.breakers.all();
  const seqs = new Set(flights.map(({ seq }) => seq));
  const lanes = new Set(flights.flatMap(({ lane }) => lane ?? []));
  const due = store.events.queues().flatMap((queue) => {
    const probeAt = breakers.get(queue)?.probeAt ?? null;
    const isBusy = flights.some((flight) => flight.queue === queue);
    if (probeAt !== null && (now < probeAt || isBusy)) return [];
    return store.events
      .due(queue, now, limit + flights.length)
      .filter(({ seq, lane }) => !seqs.has(seq) && (lane === null || !lanes.has(lane)))
      .slice(0, probeAt === null ? limit : 1);
  });
  const first = due.toSorted((a, b) => a.moment! - b.moment! || a.seq - b.seq).slice(0, limit);
  const suspect = first.findIndex((row) => isSuspect(row));
  if (suspect === -1) return first;
  // Those before it go first, and what is under way ends; then it goes alone.
  return suspect === 0 && flights.length === 0 ? first.slice(0, 1) : first.slice(0, suspect);
}

/** Whether an event may be what ended the edge. */
export function isSuspect({ interruptions }: EventRow): boolean {
  return interruptions >= INTERRUPTIONS_SUSPECT;
}

/**
 * When something may be tried that can't be now; undefined where nothing is pending.
 * @param after of those that are due after a time: which others were not taken, wait for something else
 */
export function nextMoment(store: Store, after: number, now: number): number | undefined {
  const breakers = store.breakers.all();
  const moments = store.events.queues().flatMap((queue) => {
    const probeAt = breakers.get(queue)?.probeAt ?? null;
    // Those that are due wait for the probe alone.
    const first = store.events.firstDue(queue, probeAt !== null && probeAt > now ? -Infinity : after);
    return first === undefined ? [] : Math.max(first, probeAt ?? 0);
  });
  return moments.length === 0 ? undefined : Math.min(...moments);
}
