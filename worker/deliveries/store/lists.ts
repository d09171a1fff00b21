import { LIST_SORTED_MAX } from "../../limits.ts";
import type { Sql } from "../../registry/sql.ts";
import type { DeliveryFilter } from "../filter.ts";
import type { EventRow } from "./event-row.ts";
import { acceptedAt, firstNumberOf } from "./numbers.ts";
import type { TotalsTable } from "./totals-table.ts";

/** What a list goes on behind. */
export interface Before {
  readonly accepted: number;
  readonly id: string;
}

/** Events in the order in which they were accepted. */
export class Lists {
  readonly #sql: Sql;
  readonly #totals: TotalsTable;

  constructor(sql: Sql, totals: TotalsTable) {
    this.#sql = sql;
    this.#totals = totals;
  }

  /** The latest first, by acceptance and id, behind `before`. */
  latest(filter: DeliveryFilter, before: Before | null, limit: number): EventRow[] {
    if (before === null) return this.#page(filter, Number.MAX_SAFE_INTEGER, limit);
    // Of one millisecond all are read, since numbers have another order there than ids.
    const same = this.#of(filter, before.accepted).filter(({ id }) => id < before.id);
    const page = this.#page(filter, firstNumberOf(before.accepted), limit - Math.min(limit, same.length));
    return [...same, ...page].slice(0, limit);
  }

  /**
   * Those among the next few events that a filter takes, the oldest first.
   * @param behind the number of the event that comes before them
   * @returns how far it came, too
   */
  window(
    filter: DeliveryFilter,
    behind: number,
    last: number,
    size: number,
    limit: number,
  ): { readonly rows: EventRow[]; readonly behind: number } {
    const { end } = this.#sql
      .exec<{ end: number | null }>(
        "SELECT max(seq) AS end FROM (SELECT seq FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)",
        behind,
        last,
        size,
      )
      .one();
    if (end === null) return { rows: [], behind: last };
    const { where, values } = conditions(filter);
    const rows = this.#sql
      .exec<EventRow>(
        `SELECT * FROM events NOT INDEXED WHERE seq > ? AND seq <= ? ${where} ORDER BY seq LIMIT ?`,
        behind,
        end,
        ...values,
        limit,
      )
      .toArray();
    return { rows, behind: rows.length === limit ? rows.at(-1)!.seq : end };
  }

  #page(filter: DeliveryFilter, end: number, limit: number): EventRow[] {
    if (limit <= 0) return [];
    const { where, values } = conditions(filter);
    const rows = this.#sql
      .exec<EventRow>(
        `SELECT * FROM events ${this.#index(filter)} WHERE seq < ? ${where} ORDER BY seq DESC LIMIT ?`,
        end,
        ...values,
        limit,
      )
      .toArray();
    const last = rows.at(-1);
    if (last === undefined) return rows;
    const isOfLast = ({ seq }: EventRow) => acceptedAt(seq) === acceptedAt(last.seq);
    const sorted = [...rows.filter((row) => !isOfLast(row)), ...this.#of(filter, acceptedAt(last.seq))];
    return sorted.toSorted(byAcceptance).slice(0, limit);
  }

  /** All of one millisecond. */
  #of(filter: DeliveryFilter, ms: number): EventRow[] {
    const { where, values } = conditions(filter);
    return this.#sql
      .exec<EventRow>(
        `SELECT * FROM events NOT INDEXED WHERE seq >= ? AND seq < ? ${where}`,
        firstNumberOf(ms),
        firstNumberOf(ms + 1),
        ...values,
      )
      .toArray()
      .toSorted(byAcceptance);
  }

  /** Where few are in a state, they are looked up and sorted; else they are met soon enough on the way through all. */
  #index({ state, lane }: DeliveryFilter): string {
    if (state === undefined) return "NOT INDEXED";
    if (state === "pending" && lane !== undefined) return "INDEXED BY events_lane";
    return this.#totals.counts()[state] <= LIST_SORTED_MAX ? "INDEXED BY events_moment" : "NOT INDEXED";
  }
}

function byAcceptance(a: EventRow, b: EventRow): number {
  return acceptedAt(b.seq) - acceptedAt(a.seq) || (a.id < b.id ? 1 : -1);
}

/** A state stands in the text itself: only so does SQLite see that a partial index holds all that is asked for. */
const STATE_IS = {
  pending: "AND state = 'pending'",
  delivered: "AND state = 'delivered'",
  dead: "AND state = 'dead'",
} as const;

function conditions({ state, lane, from, to }: DeliveryFilter): {
  where: string;
  values: (string | number)[];
} {
  const parts: [string, string | number][] = [];
  if (lane !== undefined) parts.push(["AND lane = ?", lane]);
  if (from !== undefined) parts.push(["AND seq >= ?", firstNumberOf(from)]);
  if (to !== undefined) parts.push(["AND seq < ?", firstNumberOf(to)]);
  const texts = parts.map(([text]) => text);
  return {
    where: [state === undefined ? "" : STATE_IS[state], ...texts].join(" "),
    values: parts.map(([, value]) => value),
  };
}
