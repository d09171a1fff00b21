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

/** When the first event is due that may be tried; undefined where there is none. */
export function nextMoment(store: Store, flights: readonly Flight[]): number | undefined {
  const breakers = store.breakers.all();
  let next: number | undefined;
  for (const queue of store.events.queues()) {
    const moment = firstIdle(store, queue, flights);
    if (moment === undefined) continue;
    const at = Math.max(moment, breakers.get(queue)?.probeAt ?? 0);
    next = next === undefined ? at : Math.min(next, at);
  }
  return next;
}

function firstIdle({ events }: Store, queue: string, flights: readonly Flight[]): number | undefined {
  if (flights.length === 0) return events.firstDue(queue);
  const seqs = new Set(flights.map(({ seq }) => seq));
  return (
    events.due(queue, Number.MAX_SAFE_INTEGER, flights.length + 1).find(({ seq }) => !seqs.has(seq))
      ?.moment ?? undefined
  );
}
