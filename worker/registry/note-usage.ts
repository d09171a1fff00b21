import { USAGE_LATE_MONTHS } from "../../protocol/limits.ts";
import {
  isOverHard,
  isOverSoft,
  type Quota,
  type QuotaMeasure,
  type QuotaStanding,
  quotaStandings,
} from "../../protocol/quota.ts";
import { type ClientUsage, monthOf, monthsBefore, type UsageReport } from "../../protocol/usage.ts";
import type { UsageTable } from "./usage-table.ts";

/** What a client used, with its quota where it has one. */
export interface UsageWithQuota extends ClientUsage {
  readonly quota?: Quota;
}

/** A limit that a report took a client over. */
export interface Crossed {
  readonly client: string;
  readonly limit: "soft" | "hard";
  readonly measure: QuotaMeasure;
  readonly used: number;
}

/** What came of a report. */
export interface NotedUsage {
  /** Clients of the report that are over a hard limit. */
  readonly over: readonly string[];
  /** Each crossing is told once. */
  readonly crossed: readonly Crossed[];
}

interface Tables {
  readonly usage: UsageTable;
  /** The client's quota: undefined where it has none, null where there is no client. */
  readonly quotaOf: (id: string) => Quota | undefined | null;
}

/**
 * Notes what a node counted, of months that are still taken, and of clients that are there, or were.
 *
 * @param now milliseconds since 1970
 * @returns null where the node has begun too many epochs
 */
export function noteUsage(
  { usage, quotaOf }: Tables,
  node: string,
  { epoch, totals }: UsageReport,
  now: number,
): NotedUsage | null {
  const month = monthOf(now);
  usage.tidy(month);
  if (!usage.admit(node, epoch, month)) return null;
  const oldest = monthsBefore(month, USAGE_LATE_MONTHS);
  const over = new Set<string>();
  const crossed: Crossed[] = [];
  for (const total of totals) {
    const { client } = total;
    // What is too old was added up and closed. A month to come is by a clock that is ahead.
    if (total.month < oldest || total.month > monthsBefore(month, -1)) continue;
    const quota = quotaOf(client);
    if (quota === null && !usage.knows(client)) continue;
    if (!quota || total.month !== month) {
      usage.note(node, epoch, total);
      continue;
    }
    const before = quotaStandings(quota, usage.of(client, month));
    usage.note(node, epoch, total);
    const after = quotaStandings(quota, usage.of(client, month));
    if (after.some((standing) => isOverHard(standing))) over.add(client);
    crossed.push(...crossings(client, before, after));
  }
  return { over: [...over], crossed };
}

function crossings(
  client: string,
  before: readonly QuotaStanding[],
  after: readonly QuotaStanding[],
): readonly Crossed[] {
  return after.flatMap((standing, index) => {
    const { measure, used } = standing;
    const was = before[index]!;
    return [
      ...(isOverSoft(standing) && !isOverSoft(was)
        ? [{ client, limit: "soft" as const, measure, used }]
        : []),
      ...(isOverHard(standing) && !isOverHard(was)
        ? [{ client, limit: "hard" as const, measure, used }]
        : []),
    ];
  });
}
