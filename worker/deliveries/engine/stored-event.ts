import type { StoredEvent } from "../event.ts";
import { type EventRow, scheduleOf } from "../store/event-row.ts";
import { acceptedAt } from "../store/numbers.ts";
import type { Store } from "../store/store.ts";

/** An event for whoever makes its attempt; undefined where something of it is missing. */
export function storedEvent(store: Store, row: EventRow, attempt: number): StoredEvent | undefined {
  const contents = store.bodies.contents(row.seq);
  const owner = store.totals.owner();
  if (contents === undefined || owner === null) return undefined;
  const { id, kind, client, method, origin, digest, size, dedupe, likeness, lane } = row;
  return {
    id,
    owner,
    kind,
    client,
    method,
    origin,
    digest,
    size,
    dedupe,
    likeness,
    lane,
    schedule: scheduleOf(row),
    request: contents.request,
    callback: contents.callback,
    accepted: acceptedAt(row.seq),
    attempt,
  };
}
