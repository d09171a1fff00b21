import * as z from "zod/mini";
import { RelayError } from "../protocol/errors.ts";
import {
  isOverHard,
  isOverSoft,
  type Quota,
  quotaField,
  type QuotaStanding,
  quotaStandings,
} from "../protocol/quota.ts";
import { monthEnd, monthOf, type UsageCounts } from "../protocol/usage.ts";

const limit = z.optional(z.int().check(z.positive("must be a whole number above 0")));

const measure = z.optional(
  z.strictObject({ soft: limit, hard: limit }).check(
    z.refine(({ soft, hard }) => soft !== undefined || hard !== undefined, "must have soft, hard or both"),
    z.refine(
      ({ soft, hard }) => soft === undefined || hard === undefined || soft <= hard,
      "must have soft no greater than hard",
    ),
  ),
);

/** A client record's `quota`. */
export const quotaSchema = z.strictObject({ requests: measure, streamMinutes: measure, bytes: measure });

/** A client's quota, and what it had used of a month when the registry was asked. */
export interface MonthsQuota {
  readonly quota: Quota;
  readonly month: string;
  readonly used: UsageCounts;
}

/** How it stands now: a month that has ended limits nothing. */
function standings(quota: MonthsQuota | undefined, now: number): readonly QuotaStanding[] {
  return quota === undefined || quota.month !== monthOf(now) ? [] : quotaStandings(quota.quota, quota.used);
}

/**
 * Refuses a client that has used up its month.
 * @param now milliseconds since 1970
 * @throws RelayError `quota_exceeded`
 */
export function checkQuota(id: string, quota: MonthsQuota | undefined, now: number): void {
  const over = standings(quota, now).find((standing) => isOverHard(standing));
  if (over === undefined) return;
  const { measure: name, used, hard } = over;
  const month = monthOf(now);
  throw new RelayError("quota_exceeded", `${id} has used ${used} ${name} of ${hard} in ${month}`, {
    retryAfter: Math.max(1, Math.ceil((monthEnd(month) - now) / 1_000)),
  });
}

/**
 * `Relay-Quota` for a client's answers: the measures that are over their soft limit, or undefined where none is.
 * @param now milliseconds since 1970
 */
export function quotaWarning(quota: MonthsQuota | undefined, now: number): string | undefined {
  const over = standings(quota, now).filter((standing) => isOverSoft(standing));
  return over.length === 0 ? undefined : quotaField(over);
}
