import type { Owner } from "../../protocol/deliveries.ts";
import type { StorePlace } from "../deliveries/owner.ts";
import type { Sql } from "./sql.ts";

/** The stores of deliveries that are in use. */
export class StoresTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS stores (owner TEXT NOT NULL, store INTEGER NOT NULL, PRIMARY KEY (owner, store)) STRICT",
    );
  }

  add({ owner, index }: StorePlace): void {
    this.#sql.exec("INSERT OR IGNORE INTO stores VALUES (?, ?)", owner, index);
  }

  /** An owner's. */
  of(owner: Owner): StorePlace[] {
    return this.#sql
      .exec<{ store: number }>("SELECT store FROM stores WHERE owner = ? ORDER BY store", owner)
      .toArray()
      .map(({ store: index }) => ({ owner, index }));
  }

  /** At most so many, in the order of their owners, behind the given one. */
  list(after: StorePlace | null, limit: number): StorePlace[] {
    return this.#sql
      .exec<{ owner: Owner; store: number }>(
        "SELECT owner, store FROM stores WHERE (owner, store) > (?, ?) ORDER BY owner, store LIMIT ?",
        after?.owner ?? "",
        after?.index ?? 0,
        limit,
      )
      .toArray()
      .map(({ owner, store: index }) => ({ owner, index }));
  }
}
