import type { Context } from "hono";
import * as z from "zod/mini";
import { DELIVERY_ID, DELIVERY_STATES } from "../../protocol/deliveries.ts";
import { RelayError } from "../../protocol/errors.ts";
import { DELIVERY_NAME_MAX } from "../../protocol/limits.ts";
import type { DeliveryFilter, Sweep } from "../deliveries/deliveries-object.ts";
import type { Cursor } from "../deliveries/pages.ts";
import { parseBody } from "../issues.ts";
import { PAUSE_REASON_MAX, SWEEPS_PER_SECOND, SWEEPS_PER_SECOND_MAX } from "../limits.ts";
import { queryOf } from "./query.ts";

/** What calls about deliveries ask for, read in. */

const lane = z
  .string()
  .check(
    z.minLength(1, "must have at least one character"),
    z.maxLength(DELIVERY_NAME_MAX, `must have at most ${DELIVERY_NAME_MAX} characters`),
  );
const moment = z.optional(
  z.int("must be whole milliseconds since 1970").check(z.nonnegative("must be milliseconds since 1970")),
);

const filterSchema = z.strictObject({
  state: z.optional(z.enum(DELIVERY_STATES)),
  lane: z.optional(lane),
  from: moment,
  to: moment,
});

const sweepSchema = z.strictObject({
  act: z.enum(["replay", "purge"]),
  filter: filterSchema,
  rate: z.optional(
    z
      .number()
      .check(
        z.positive("must be more than 0"),
        z.maximum(SWEEPS_PER_SECOND_MAX, `must be at most ${SWEEPS_PER_SECOND_MAX} per second`),
      ),
  ),
});

const skipSchema = z.strictObject({ lane });

const pauseSchema = z.strictObject({
  reason: z
    .string()
    .check(
      z.regex(
        new RegExp(`^[^\\p{C}]{1,${PAUSE_REASON_MAX}}$`, "u"),
        `must have 1 to ${PAUSE_REASON_MAX} printable characters`,
      ),
    ),
});

/** A list that is asked for. */
export interface ListQuery {
  readonly filter: DeliveryFilter;
  /** What it goes on behind. */
  readonly before: Cursor | null;
  readonly limit: number;
}

/** @throws RelayError `request_invalid` */
export function listQueryOf(c: Context): ListQuery {
  const { limit, before, from, to, ...named } = queryOf(c, "state", "lane", "from", "to", "before");
  const filter = parseBody(filterSchema, {
    ...named,
    ...(from !== undefined && { from: momentOf(from) }),
    ...(to !== undefined && { to: momentOf(to) }),
  });
  return { filter, before: before === undefined ? null : cursorOf(before), limit };
}

/** Where a page ends, as it is told: `<accepted>.<id>`. */
export function tellCursor({ accepted, id }: Cursor): string {
  return `${accepted}.${id}`;
}

function cursorOf(text: string): Cursor {
  const [, accepted, id = ""] = /^(\d{1,15})\.(.*)$/.exec(text) ?? [];
  if (!DELIVERY_ID.test(id)) {
    throw new RelayError("request_invalid", "before must be the `next` of the page before it");
  }
  return { accepted: Number(accepted), id };
}

function momentOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new RelayError("request_invalid", "from and to must be whole milliseconds since 1970");
}

/**
 * What is to become of many. It has to be said which: a slip must not replay or purge everything.
 * @throws RelayError `request_invalid`
 */
export function readSweep(value: unknown): Sweep {
  const { act, filter, rate = SWEEPS_PER_SECOND } = parseBody(sweepSchema, value);
  const { state, from, to } = filter;
  if (act === "replay" && state === undefined) {
    throw new RelayError("request_invalid", 'say which to replay by their state: {"state": "dead"}');
  }
  if (act === "purge" && state === undefined && from === undefined && to === undefined) {
    throw new RelayError(
      "request_invalid",
      "say which to purge: by their state, or accepted from or to when",
    );
  }
  return { act, filter, rate };
}

/** @throws RelayError `request_invalid` */
export function readLane(value: unknown): string {
  return parseBody(skipSchema, value).lane;
}

/** @throws RelayError `request_invalid` */
export function readReason(value: unknown): string {
  return parseBody(pauseSchema, value).reason;
}
