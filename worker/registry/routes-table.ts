import type { RouteRecord } from "../routes.ts";
import type { Sql } from "./sql.ts";
import { VersionedTable } from "./versioned-table.ts";

/** The routes' records. */
export class RoutesTable extends VersionedTable<RouteRecord> {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    super(sql, "routes");
    this.#sql = sql;
  }

  /** Ids of the routes that deliver by a client. */
  of(client: string): string[] {
    return this.#sql
      .exec<{ id: string }>(
        "SELECT id FROM routes WHERE CASE WHEN json_valid(record) THEN record ->> '$.client' END = ? ORDER BY id",
        client,
      )
      .toArray()
      .map(({ id }) => id);
  }
}
