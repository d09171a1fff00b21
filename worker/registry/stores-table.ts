import type { Owner } from "../../protocol/deliveries.ts";
import type { StorePlace } from "../deliveries/owner.ts";
import type { Sql } from "./sql.ts";

/** The stores of deliveries that are in use. */
export class StoresTable {
  readonly #sql: Sql;
  #told: StorePlace | undefined;

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

  /**
   * The next ones after those that the last call told of, at most so many, in the order of their owners; none at the end, and then
   * from the beginning again: whoever can't do with all of them at once goes on where somebody left off.
   */
  next(limit: number): StorePlace[] {
    const places = this.#sql
      .exec<{ owner: Owner; store: number }>(
        "SELECT owner, store FROM stores WHERE (owner, store) > (?, ?) ORDER BY owner, store LIMIT ?",
        this.#told?.owner ?? "",
        this.#told?.index ?? 0,
        limit,
      )
      .toArray()
      .map(({ owner, store: index }) => ({ owner, index }));
    this.#told = places.at(-1);
    return places;
  }
}
