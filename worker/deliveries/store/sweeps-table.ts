import type { Sql } from "../../registry/sql.ts";
import type { Sweep } from "../filter.ts";

/** A sweep that is going on: it has come past `behind` and ends with `last`, by the numbers of events. */
export interface StoredSweep extends Sweep {
  readonly id: number;
  readonly behind: number;
  readonly last: number;
  /** When it goes on, in milliseconds since 1970. */
  readonly due: number;
}

interface Row extends Record<string, string | number> {
  readonly id: number;
  readonly act: Sweep["act"];
  readonly filter: string;
  readonly rate: number;
  readonly behind: number;
  readonly last: number;
  readonly due: number;
}

/** What is to become of many deliveries. */
export class SweepsTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add({ act, filter, rate }: Sweep, last: number, now: number): void {
    this.#sql.exec(
      "INSERT INTO sweeps (act, filter, rate, behind, last, due) VALUES (?, ?, ?, 0, ?, ?)",
      act,
      JSON.stringify(filter),
      rate,
      last,
      now,
    );
  }

  /** The one that goes on next. */
  next(): StoredSweep | undefined {
    const [row] = this.#sql.exec<Row>("SELECT * FROM sweeps ORDER BY due, id LIMIT 1").toArray();
    return row && { ...row, filter: JSON.parse(row.filter) as Sweep["filter"] };
  }

  move(id: number, behind: number, due: number): void {
    this.#sql.exec("UPDATE sweeps SET behind = ?, due = ? WHERE id = ?", behind, due, id);
  }

  end(id: number): void {
    this.#sql.exec("DELETE FROM sweeps WHERE id = ?", id);
  }
}
