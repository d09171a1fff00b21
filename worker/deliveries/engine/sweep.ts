import { SWEEP_WAIT_MAX_MS, SWEEP_WINDOW } from "../../limits.ts";
import type { EventRow } from "../store/event-row.ts";
import type { Store } from "../store/store.ts";
import type { StoredSweep } from "../store/sweeps-table.ts";
import { removeEvent, reviveEvent } from "./change-state.ts";

/** Does the next part of the sweep that is due: at most what its rate allows in a second. To be called in a transaction. */
export function goOnSweeping(store: Store, now: number): void {
  const sweep = store.sweeps.next();
  if (sweep === undefined || sweep.due > now) return;
  const { id, rate, last } = sweep;
  const budget = Math.max(1, Math.floor(rate));
  const { rows, behind } = store.lists.window(sweep.filter, sweep.behind, last, SWEEP_WINDOW, budget);
  for (const { seq } of rows) {
    // As it is by now: with the one before it in its lane, its turn may have come.
    const row = store.events.get(seq);
    if (row !== undefined) sweepOne(store, sweep, row, now);
  }
  const wait = rows.length === 0 ? 0 : Math.ceil(Math.min(SWEEP_WAIT_MAX_MS, Math.max(1_000, 1_000 / rate)));
  if (behind >= last) store.sweeps.end(id);
  else store.sweeps.move(id, behind, now + wait);
}

function sweepOne(store: Store, { act, filter }: StoredSweep, row: EventRow, now: number): void {
  if (act === "purge") removeEvent(store, row, now);
  else replayEvent(store, row, now, { hurry: filter.state === "pending" });
}

/**
 * Makes an event again.
 * @param options.hurry whether one that is pending is tried at once, unless it waits in its lane
 */
export function replayEvent(
  store: Store,
  row: EventRow,
  now: number,
  { hurry }: { readonly hurry: boolean },
): void {
  if (row.state !== "pending") reviveEvent(store, row, now);
  else if (hurry && row.moment !== null) store.events.change(row, { moment: Math.min(now, row.moment) });
}
