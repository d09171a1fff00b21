import { BREAKERS_MAX } from "../../limits.ts";
import type { Sql } from "../../registry/sql.ts";
import type { Breaker } from "../engine/breaker.ts";

interface Row extends Record<string, string | number | null> {
  readonly queue: string;
  readonly failures: number;
  readonly probes: number;
  readonly probe_at: number | null;
}

/** Targets that failed lately, by what waits for them. */
export class BreakersTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  all(): Map<string, Breaker> {
    const rows = this.#sql.exec<Row>("SELECT * FROM breakers").toArray();
    return new Map(
      rows.map(({ queue, failures, probes, probe_at: probeAt }) => [queue, { failures, probes, probeAt }]),
    );
  }

  get(queue: string): Breaker | undefined {
    const [row] = this.#sql.exec<Row>("SELECT * FROM breakers WHERE queue = ?", queue).toArray();
    return row && { failures: row.failures, probes: row.probes, probeAt: row.probe_at };
  }

  /** @param breaker undefined where nothing is to be remembered */
  set(queue: string, breaker: Breaker | undefined): void {
    if (breaker === undefined) {
      this.#sql.exec("DELETE FROM breakers WHERE queue = ?", queue);
      return;
    }
    const { failures, probes, probeAt } = breaker;
    this.#sql.exec("INSERT OR REPLACE INTO breakers VALUES (?, ?, ?, ?)", queue, failures, probes, probeAt);
    // All are read with each look: of more, the one that failed longest ago is forgotten.
    this.#sql.exec(
      "DELETE FROM breakers WHERE rowid <= (SELECT rowid FROM breakers ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
      BREAKERS_MAX,
    );
  }

  clear(): void {
    this.#sql.exec("DELETE FROM breakers");
  }
}
