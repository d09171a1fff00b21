import type { Accepted } from "../../../protocol/deliveries.ts";
import { RelayError } from "../../../protocol/errors.ts";
import { DELIVERIES_PENDING, EVENT_WEIGHT_BYTES, STORE_MAX_BYTES } from "../../limits.ts";
import type { RouteRecord } from "../../routes.ts";
import type { NewEvent } from "../event.ts";
import { STORES_PER_OWNER } from "../places.ts";
import { type EventRow, queueOf } from "../store/event-row.ts";
import { numberAt } from "../store/numbers.ts";
import type { Store } from "../store/store.ts";
import { reviveEvent } from "./change-state.ts";
import { effectiveSchedule } from "./schedule.ts";

/** What a call that stores is refused for, besides what throws. */
export interface Refusal {
  readonly status: "conflict" | "backlog_full" | "uploads_limited";
}

/**
 * Stores an event, unless it is known. To be called in a transaction.
 * @param body null where it was staged under the event's id
 * @param route its route, as far as it is known
 */
export function acceptEvent(
  store: Store,
  event: NewEvent,
  body: Uint8Array<ArrayBuffer> | null,
  { now, route }: { readonly now: number; readonly route: RouteRecord | undefined },
): Accepted | Refusal {
  const known = knownEvent(store, event);
  if (known !== undefined) return again(store, known, event, now);
  const totals = store.totals.get();
  if (totals.owner !== null && totals.owner !== event.owner) {
    throw new RelayError("edge_internal", `a store of ${totals.owner} was handed an event of ${event.owner}`);
  }
  const weight = EVENT_WEIGHT_BYTES + event.size + event.request.length;
  const isFull =
    totals.pending >= Math.ceil((route?.limits?.pending ?? DELIVERIES_PENDING) / STORES_PER_OWNER) ||
    totals.bytes + weight > STORE_MAX_BYTES;
  // The outcome of what was accepted is told, however full it is.
  if (isFull && event.kind !== "callback") return { status: "backlog_full" };
  if (body === null) {
    if (store.bodies.upload(event.id)?.bytes !== event.size) {
      throw new RelayError("storage_unavailable", `the body of ${event.id} was not staged whole`);
    }
    store.bodies.keep(event.id);
  } else if (body.length !== event.size) {
    throw new RelayError("edge_internal", `a body of ${body.length} bytes, not of ${event.size}`);
  }
  const row = newRow(store, event, { seq: numberAt(now, totals.seq), weight, now, route });
  store.events.add(row);
  store.bodies.add(row, event, body);
  store.totals.accept(event.owner, row.seq, weight);
  return { id: event.id, status: "stored" };
}

/** The event that this one is, where it was accepted before. */
function knownEvent({ events }: Store, { id, dedupe }: NewEvent): EventRow | undefined {
  return (dedupe === null ? undefined : events.known(dedupe)) ?? events.byId(id);
}

function again(store: Store, known: EventRow, event: NewEvent, now: number): Accepted | Refusal {
  if (known.id !== event.id) store.bodies.abandon(event.id);
  if (known.likeness !== null && event.likeness !== null && known.likeness !== event.likeness) {
    return { status: "conflict" };
  }
  if (known.state !== "dead") return { id: known.id, status: "duplicate" };
  reviveEvent(store, known, now);
  return { id: known.id, status: "revived" };
}

function newRow(
  { events }: Store,
  event: NewEvent,
  {
    seq,
    weight,
    now,
    route,
  }: {
    readonly seq: number;
    readonly weight: number;
    readonly now: number;
    readonly route: RouteRecord | undefined;
  },
): EventRow {
  const { id, kind, client, method, origin, digest, size, dedupe, likeness, lane, schedule } = event;
  const waits = lane !== null && events.laneHead(lane) !== undefined;
  const [delay = 0] = effectiveSchedule(schedule, route);
  return {
    seq,
    id,
    kind,
    client,
    method,
    origin,
    digest,
    size,
    weight,
    dedupe,
    likeness,
    lane,
    schedule: schedule === null ? null : JSON.stringify(schedule),
    state: "pending",
    queue: queueOf(event),
    moment: waits ? null : now + Math.ceil(delay * 1_000),
    spent: 0,
    tries: 0,
    interruptions: 0,
    faults: 0,
    ended: null,
    reason: null,
    owes: event.callback === null ? null : 0,
    attempts: "[]",
    answer: null,
  };
}
