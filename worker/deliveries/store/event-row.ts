import {
  type DeliveryAnswer,
  type DeliveryAttempt,
  type DeliveryKind,
  type DeliveryRow,
  type DeliveryState,
  type Owner,
} from "../../../protocol/deliveries.ts";
import type { Breaker } from "../engine/breaker.ts";
import { acceptedAt } from "./numbers.ts";

/** An event as it is stored, but for its request and its body. */
export interface EventRow extends Record<string, string | number | null> {
  readonly seq: number;
  readonly id: string;
  readonly kind: DeliveryKind;
  readonly client: string;
  readonly method: string;
  readonly origin: string | null;
  readonly digest: string;
  readonly size: number;
  /** What it counts towards the bytes of its store. */
  readonly weight: number;
  readonly dedupe: string | null;
  readonly likeness: string | null;
  readonly lane: string | null;
  /** Numbers in JSON. */
  readonly schedule: string | null;
  readonly state: DeliveryState;
  readonly queue: string;
  readonly moment: number | null;
  /** Attempts of its schedule that were spent; those that were made, whatever came of them. */
  readonly spent: number;
  readonly tries: number;
  /** In a row: attempts that the edge's end interrupted, and faults of the relay's own. */
  readonly interruptions: number;
  readonly faults: number;
  readonly ended: number | null;
  readonly reason: string | null;
  /** Null where nobody wants to know of its end, 1 where somebody has yet to be told. */
  readonly owes: number | null;
  /** The latest ones in JSON, and the target's last answer. */
  readonly attempts: string;
  readonly answer: string | null;
}

/** What an event waits for while it is pending. */
export function queueOf({ kind, origin }: { readonly kind: DeliveryKind; readonly origin: string | null }) {
  return kind === "hook" ? "" : (origin ?? "");
}

/**
 * As it is listed.
 * @param breaker of what it waits for: while that is open, nobody would know otherwise why nothing is sent that is due
 */
export function listed(row: EventRow, owner: Owner, breaker?: Breaker): DeliveryRow {
  const { id, kind, state, client, method, origin, lane, dedupe, size, spent, ended } = row;
  const waits = state === "pending" ? row.moment : null;
  const probeAt = waits === null ? null : (breaker?.probeAt ?? null);
  return {
    id,
    owner,
    kind,
    state,
    client,
    method,
    origin,
    lane,
    dedupe,
    size,
    accepted: acceptedAt(row.seq),
    spent,
    due: waits === null ? null : Math.max(waits, probeAt ?? 0),
    ended,
    reason: probeAt === null ? row.reason : leftAlone(row.reason, breaker!),
  };
}

function leftAlone(reason: string | null, { failures }: Breaker): string {
  const why = `its target failed ${failures} times in a row, and is left alone but for one try at a time`;
  return reason === null ? why : `${reason}; ${why}`;
}

/** An attempt of which nothing is known yet but that it began. */
export function begun({ n, started }: Pick<DeliveryAttempt, "n" | "started">): DeliveryAttempt {
  return {
    n,
    started,
    ended: null,
    result: null,
    status: null,
    code: null,
    detail: null,
    node: null,
    egress: null,
  };
}

/** The attempts of an event, the oldest first. */
export function attemptsOf({ attempts }: Pick<EventRow, "attempts">): DeliveryAttempt[] {
  return (readJson(attempts) as DeliveryAttempt[] | null) ?? [];
}

/** The target's last answer. */
export function answerOf({ answer }: Pick<EventRow, "answer">): DeliveryAnswer | null {
  return readJson(answer) as DeliveryAnswer | null;
}

/** Seconds before each attempt, where the event itself says. */
export function scheduleOf({ schedule }: Pick<EventRow, "schedule">): readonly number[] | null {
  return readJson(schedule) as number[] | null;
}

/** What can't be read of one event must not stop its store. */
function readJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
