import type { Owner, Pause } from "../../protocol/deliveries.ts";
import type { Sql } from "./sql.ts";

/** Whose deliveries are not made, and why. */
export class PausesTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    // No `by` where the edge has a reason of its own.
    sql.exec(
      "CREATE TABLE IF NOT EXISTS pauses (owner TEXT PRIMARY KEY, at INTEGER NOT NULL, by TEXT, reason TEXT NOT NULL) STRICT",
    );
  }

  /** An owner's pause, or null. */
  of(owner: Owner): Pause | null {
    const [row] = this.#sql
      .exec<{ at: number; by: string | null; reason: string }>(
        "SELECT at, by, reason FROM pauses WHERE owner = ?",
        owner,
      )
      .toArray();
    return row ?? null;
  }

  /** Pauses an owner, or gives its pause another reason. */
  put(owner: Owner, { at, by, reason }: Pause): void {
    this.#sql.exec("INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?)", owner, at, by, reason);
  }

  /** Ends a pause; returns it, or null where there was none. */
  delete(owner: Owner): Pause | null {
    const pause = this.of(owner);
    this.#sql.exec("DELETE FROM pauses WHERE owner = ?", owner);
    return pause;
  }
}
