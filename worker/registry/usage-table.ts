import { USAGE_LATE_MONTHS } from "../../protocol/limits.ts";
import {
  type ClientUsage,
  monthsBefore,
  NO_USAGE,
  USAGE_COUNTS,
  type UsageCounts,
  type UsageTotal,
} from "../../protocol/usage.ts";
import { USAGE_EPOCHS_MAX, USAGE_KEPT_MONTHS } from "../limits.ts";
import type { Sql } from "./sql.ts";

/** Counts, as the table has them. */
const COLUMNS = "requests, refusals, streams, stream_seconds, bytes_up, bytes_down";

const SUMS = COLUMNS.split(", ")
  .map((column, index) => `TOTAL(${column}) AS ${USAGE_COUNTS[index]}`)
  .join(", ");

/** The same as whole numbers that JavaScript can tell apart: whatever a node told, a sum must not fail. */
const CAPPED = COLUMNS.split(", ")
  .map((column) => `CAST(MIN(TOTAL(${column}), ${Number.MAX_SAFE_INTEGER}) AS INTEGER)`)
  .join(", ");

/** More than 0 where any of it was used. */
const ANYTHING = COLUMNS.split(", ")
  .map((column) => `TOTAL(${column})`)
  .join(" + ");

/** The larger of two totals is the later one. */
const LARGER = COLUMNS.split(", ")
  .map((column) => `${column} = max(${column}, excluded.${column})`)
  .join(", ");

/** Whether there is anything new in it: what comes twice writes nothing. */
const GROWS = COLUMNS.split(", ")
  .map((column) => `excluded.${column} > ${column}`)
  .join(" OR ");

/** What stands in place of a node and its epoch where their counts are one row, and in the row that keeps a client known. */
const NOBODY = "";

/** What nodes counted: a row for each client, month, node and epoch, of which the largest counts ever told are kept. */
export class UsageTable {
  readonly #sql: Sql;
  /** The month in which old rows were last looked at, as far as this instance knows. */
  #tidied = "";

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS usage (
        client TEXT NOT NULL, month TEXT NOT NULL, node TEXT NOT NULL, epoch TEXT NOT NULL,
        requests INTEGER NOT NULL, refusals INTEGER NOT NULL, streams INTEGER NOT NULL, stream_seconds INTEGER NOT NULL,
        bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT NULL,
        PRIMARY KEY (client, month, node, epoch)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS usage_month ON usage (month);
      CREATE TABLE IF NOT EXISTS usage_epochs (
        node TEXT NOT NULL, epoch TEXT NOT NULL, month TEXT NOT NULL, PRIMARY KEY (node, epoch)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS usage_tidied (month TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    `);
  }

  /**
   * Whether a node may tell totals of an epoch: one that loses its journal over and over must not fill the table.
   * @param month the current one
   */
  admit(node: string, epoch: string, month: string): boolean {
    const known = this.#sql.exec("SELECT 1 FROM usage_epochs WHERE node = ? AND epoch = ?", node, epoch);
    if (known.toArray().length > 0) return true;
    const { count } = this.#sql
      .exec<{ count: number }>("SELECT COUNT(*) AS count FROM usage_epochs WHERE node = ?", node)
      .one();
    if (count >= USAGE_EPOCHS_MAX) return false;
    this.#sql.exec("INSERT INTO usage_epochs VALUES (?, ?, ?)", node, epoch, month);
    return true;
  }

  /** Notes a total of a node's. What is not larger than what is known changes nothing. */
  note(node: string, epoch: string, total: UsageTotal): void {
    const counts = USAGE_COUNTS.map((name) => total[name]);
    this.#sql.exec(
      `INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (client, month, node, epoch) DO UPDATE SET ${LARGER} WHERE ${GROWS}`,
      total.client,
      total.month,
      node,
      epoch,
      ...counts,
    );
  }

  /** What a client used in a month: the sum of a few rows that stand together. */
  of(client: string, month: string): UsageCounts {
    return (
      this.#sql
        .exec<Row>(`SELECT ${SUMS} FROM usage WHERE client = ? AND month = ?`, client, month)
        .toArray()[0] ?? NO_USAGE
    );
  }

  /** What clients used in a month, in the order of their ids; none that used nothing. */
  list(month: string, after: string, limit: number): readonly ClientUsage[] {
    return this.#sql
      .exec<Row & { client: string }>(
        `SELECT client, ${SUMS} FROM usage WHERE month = ? AND client > ? GROUP BY client
          HAVING ${ANYTHING} > 0 ORDER BY client LIMIT ?`,
        month,
        after,
        limit,
      )
      .toArray();
  }

  /** Whether anything was ever noted of a client, or that it was there. */
  knows(client: string): boolean {
    return this.#sql.exec("SELECT 1 FROM usage WHERE client = ? LIMIT 1", client).toArray().length > 0;
  }

  /** Keeps a client known that is removed: nodes may still have something to tell of it. */
  remember(client: string, month: string): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO usage VALUES (?, ?, ?, ?, 0, 0, 0, 0, 0, 0)",
      client,
      month,
      NOBODY,
      NOBODY,
    );
  }

  /** Once a month: months that nobody tells anything of any more become one row for each client, and old ones go. */
  tidy(month: string): void {
    if (this.#tidied === month) return;
    this.#tidied = month;
    if (this.#sql.exec("INSERT OR IGNORE INTO usage_tidied VALUES (?)", month).rowsWritten === 0) return;
    const late = monthsBefore(month, USAGE_LATE_MONTHS);
    this.#sql.exec("DELETE FROM usage WHERE month < ?", monthsBefore(month, USAGE_KEPT_MONTHS));
    this.#sql.exec("DELETE FROM usage_epochs WHERE month < ?", late);
    this.#sql.exec(
      `INSERT OR REPLACE INTO usage SELECT client, month, ?, ?, ${CAPPED}
        FROM usage WHERE month < ? GROUP BY client, month`,
      NOBODY,
      NOBODY,
      late,
    );
    this.#sql.exec("DELETE FROM usage WHERE month < ? AND node <> ?", late, NOBODY);
  }
}

type Row = { [name in keyof UsageCounts]: number };
