import type { Quota } from "../../protocol/quota.ts";
import type { ClientRecord } from "../clients.ts";
import type { Sql } from "./sql.ts";
import { VersionedTable } from "./versioned-table.ts";

/** The clients' records. */
export class ClientsTable extends VersionedTable<ClientRecord> {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    super(sql, "clients");
    this.#sql = sql;
  }

  /** The client's quota: undefined where it has none, null where there is no client. */
  quotaOf(id: string): Quota | undefined | null {
    const row = this.#sql
      .exec<{ quota: string | null }>(
        "SELECT CASE WHEN json_valid(record) THEN record ->> '$.quota' END AS quota FROM clients WHERE id = ?",
        id,
      )
      .toArray()[0];
    if (row === undefined) return null;
    return row.quota === null ? undefined : (JSON.parse(row.quota) as Quota);
  }
}
