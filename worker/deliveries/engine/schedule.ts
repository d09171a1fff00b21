import type { RouteRecord } from "../../routes.ts";
import { DELIVERY_SCHEDULE_SECONDS } from "../../../protocol/limits.ts";
import { DELIVERY_JITTER, RETRY_AFTER_MAX_SECONDS } from "../../limits.ts";

/** Seconds before each attempt: an event's own, else its route's, else the usual. */
export function effectiveSchedule(
  own: readonly number[] | null,
  route: Pick<RouteRecord, "schedule"> | undefined,
): readonly number[] {
  return own ?? route?.schedule ?? DELIVERY_SCHEDULE_SECONDS;
}

/**
 * When the next attempt is due.
 * @param seconds as the schedule says
 * @param random from 0 to 1
 * @param retryAfter what the target asks for, in seconds
 */
export function nextDue(
  seconds: number,
  {
    now,
    random,
    retryAfter,
  }: { readonly now: number; readonly random: number; readonly retryAfter: number | null },
): number {
  const jittered = seconds * (1 + DELIVERY_JITTER * (2 * random - 1));
  const asked = Math.min(retryAfter ?? 0, RETRY_AFTER_MAX_SECONDS);
  return now + Math.ceil(Math.max(jittered, asked) * 1_000);
}
