import { CLOCK_LEEWAY_SECONDS } from "../../protocol/limits.ts";
import type { HandleRecord } from "../handles.ts";

/** What handles stand for, by their hashes. */
export class HandlesTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS handles (
        hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, client TEXT NOT NULL, expires INTEGER NOT NULL, record TEXT NOT NULL
      ) STRICT;
      CREATE INDEX IF NOT EXISTS handles_client ON handles (client);
    `);
  }

  /** What a handle stands for, or null. */
  get(hash: string): HandleRecord | null {
    const row = this.#sql
      .exec<{ record: string }>("SELECT record FROM handles WHERE hash = ?", hash)
      .toArray()[0];
    return row === undefined ? null : (JSON.parse(row.record) as HandleRecord);
  }

  /**
   * Stores a handle, and drops those that have expired.
   * @param now seconds since 1970
   */
  put(hash: string, record: HandleRecord, now: number): void {
    const { iss: client, exp: expires } = record.claims;
    this.#sql.exec("DELETE FROM handles WHERE expires + ? < ?", CLOCK_LEEWAY_SECONDS, now);
    const values = [hash, record.id, client, expires, JSON.stringify(record)];
    this.#sql.exec("INSERT INTO handles VALUES (?, ?, ?, ?, ?)", ...values);
  }

  /** Removes a handle; false where there is none of this id. */
  delete(id: string): boolean {
    return this.#sql.exec("DELETE FROM handles WHERE id = ?", id).rowsWritten > 0;
  }

  deleteAllOf(client: string): void {
    this.#sql.exec("DELETE FROM handles WHERE client = ?", client);
  }
}
