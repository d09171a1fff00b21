import type { Quota } from "../../protocol/quota.ts";
import type { ClientRecord } from "../clients.ts";
import { type Expected, matches, type Versioned } from "./versions.ts";

/** The clients' records. */
export class ClientsTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    // A record that is made anew counts on from its removed namesake: who still knows a version of that must not meet it again.
    sql.exec(`
      CREATE TABLE IF NOT EXISTS clients (id TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS removed_clients (id TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
    `);
  }

  /** The client's record, or null. */
  get(id: string): Versioned<ClientRecord> | null {
    const row = this.#sql
      .exec<{ version: number; record: string }>("SELECT version, record FROM clients WHERE id = ?", id)
      .toArray()[0];
    return row === undefined ? null : versioned(row);
  }

  /** At most so many records, by their ids' order, of ids behind the given one. */
  list(after: string, limit: number): Versioned<ClientRecord>[] {
    return this.#sql
      .exec<{ version: number; record: string }>(
        "SELECT version, record FROM clients WHERE id > ? ORDER BY id LIMIT ?",
        after,
        limit,
      )
      .toArray()
      .map((row) => versioned(row));
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

  /** Stores a record; returns its new version, or null where another version is there than was expected. */
  put(record: ClientRecord, expected: Expected): number | null {
    const found = this.versionOf(record.id);
    if (!matches(expected, found)) return null;
    const version = (found ?? this.#removedVersion(record.id)) + 1;
    this.#sql.exec(
      "INSERT INTO clients VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version, record = excluded.record",
      record.id,
      version,
      JSON.stringify(record),
    );
    return version;
  }

  /** Removes a record; false where another version is there than was expected. */
  delete(id: string, expected: Expected): boolean {
    const found = this.versionOf(id);
    if (found === undefined || !matches(expected, found)) return false;
    this.#sql.exec("DELETE FROM clients WHERE id = ?", id);
    this.#sql.exec("INSERT OR REPLACE INTO removed_clients VALUES (?, ?)", id, found);
    return true;
  }

  versionOf(id: string): number | undefined {
    return this.#sql.exec<{ version: number }>("SELECT version FROM clients WHERE id = ?", id).toArray()[0]
      ?.version;
  }

  #removedVersion(id: string): number {
    const [row] = this.#sql
      .exec<{ version: number }>("SELECT version FROM removed_clients WHERE id = ?", id)
      .toArray();
    return row?.version ?? 0;
  }
}

function versioned({ version, record }: { version: number; record: string }): Versioned<ClientRecord> {
  return { version, record: JSON.parse(record) as ClientRecord };
}
