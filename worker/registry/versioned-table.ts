import type { Sql } from "./sql.ts";
import { type Expected, matches, type Versioned } from "./versions.ts";

/** Records by their ids, each with the version that counts its changes. */
export class VersionedTable<T extends { readonly id: string }> {
  readonly #sql: Sql;
  readonly #table: string;

  /** @param table a name of the code's own; `removed_<table>` belongs to it */
  constructor(sql: Sql, table: "clients" | "routes") {
    this.#sql = sql;
    this.#table = table;
    // A record that is made anew counts on from its removed namesake: who still knows a version of that must not meet it again.
    sql.exec(`
      CREATE TABLE IF NOT EXISTS ${table} (id TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS removed_${table} (id TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
    `);
  }

  /** The record of this id, or null. */
  get(id: string): Versioned<T> | null {
    const row = this.#sql
      .exec<{ version: number; record: string }>(
        `SELECT version, record FROM ${this.#table} WHERE id = ?`,
        id,
      )
      .toArray()[0];
    return row === undefined ? null : versioned(row);
  }

  /** At most so many records, by their ids' order, of ids behind the given one. */
  list(after: string, limit: number): Versioned<T>[] {
    return this.#sql
      .exec<{ version: number; record: string }>(
        `SELECT version, record FROM ${this.#table} WHERE id > ? ORDER BY id LIMIT ?`,
        after,
        limit,
      )
      .toArray()
      .map((row) => versioned(row));
  }

  /** Stores a record; returns its new version, or null where another version is there than was expected. */
  put(record: T, expected: Expected): number | null {
    const found = this.versionOf(record.id);
    if (!matches(expected, found)) return null;
    const version = (found ?? this.#removedVersion(record.id)) + 1;
    this.#sql.exec(
      `INSERT INTO ${this.#table} VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version, record = excluded.record`,
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
    this.#sql.exec(`DELETE FROM ${this.#table} WHERE id = ?`, id);
    this.#sql.exec(`INSERT OR REPLACE INTO removed_${this.#table} VALUES (?, ?)`, id, found);
    return true;
  }

  versionOf(id: string): number | undefined {
    return this.#sql
      .exec<{ version: number }>(`SELECT version FROM ${this.#table} WHERE id = ?`, id)
      .toArray()[0]?.version;
  }

  #removedVersion(id: string): number {
    const [row] = this.#sql
      .exec<{ version: number }>(`SELECT version FROM removed_${this.#table} WHERE id = ?`, id)
      .toArray();
    return row?.version ?? 0;
  }
}

function versioned<T>({ version, record }: { version: number; record: string }): Versioned<T> {
  return { version, record: JSON.parse(record) as T };
}
