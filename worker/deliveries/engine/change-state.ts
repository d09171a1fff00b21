import type { EventChange } from "../store/events-table.ts";
import { type EventRow, queueOf, scheduleOf } from "../store/event-row.ts";
import { acceptedAt } from "../store/numbers.ts";
import type { Store } from "../store/store.ts";

/** Ends an event, with the counts; those behind it in its lane go on. */
export function endEvent(
  store: Store,
  row: EventRow,
  { state, reason }: { readonly state: "delivered" | "dead"; readonly reason: string | null },
  now: number,
  change: EventChange = {},
): void {
  const next = store.events.change(row, {
    ...change,
    state,
    queue: "",
    moment: now,
    ended: now,
    reason,
    ...(row.owes !== null && { owes: 1 }),
  });
  store.totals.move(row.state, state, next.weight - row.weight);
  passTurn(store, row, now);
}

/** Makes an event that has ended pending, as if it had just come. */
export function reviveEvent(store: Store, row: EventRow, now: number): void {
  const waits = row.lane !== null && store.events.laneHead(row.lane) !== undefined;
  store.events.change(row, {
    state: "pending",
    queue: queueOf(row),
    moment: waits ? null : now,
    spent: 0,
    interruptions: 0,
    faults: 0,
    ended: null,
    reason: null,
    ...(row.owes !== null && { owes: 0 }),
  });
  store.totals.move(row.state, "pending", 0);
}

/** Removes an event for good. */
export function removeEvent(store: Store, row: EventRow, now: number): void {
  store.events.remove(row.seq);
  store.bodies.remove(row);
  store.totals.move(row.state, "purged", -row.weight);
  passTurn(store, row, now);
}

/** Where it was an event's turn in its lane, it is the next one's now. */
function passTurn({ events }: Store, { lane, state, moment }: EventRow, now: number): void {
  if (lane === null || state !== "pending" || moment === null) return;
  const next = events.laneHead(lane);
  if (next === undefined) return;
  const [delay = 0] = scheduleOf(next) ?? [];
  const wait = Math.ceil(delay * 1_000);
  // A clock that was set back must not make it wait for longer than it would have at first.
  events.change(next, { moment: Math.min(now + wait, Math.max(now, acceptedAt(next.seq) + wait)) });
}
