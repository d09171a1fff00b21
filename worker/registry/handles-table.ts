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
   * At most so many of a client's, by their ids' order, of ids behind the given one; without those that have expired.
   * @param now seconds since 1970
   */
  list(client: string, after: string, limit: number, now: number): HandleRecord[] {
    return this.#sql
      .exec<{ record: string }>(
        "SELECT record FROM handles WHERE client = ? AND id > ? AND expires + ? > ? ORDER BY id LIMIT ?",
        client,
        after,
        CLOCK_LEEWAY_SECONDS,
        now,
        limit,
      )
      .toArray()
      .map(({ record }) => JSON.parse(record) as HandleRecord);
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

  /** Removes a handle; returns its client, or undefined where there is none of this id. */
  delete(id: string): string | undefined {
    return this.#sql
      .exec<{ client: string }>("DELETE FROM handles WHERE id = ? RETURNING client", id)
      .toArray()[0]?.client;
  }

  /** Removes the handles that stand for one scope token; returns their ids. */
  deleteOfToken(client: string, jti: string): string[] {
    return this.#sql
      .exec<{ id: string }>(
        "DELETE FROM handles WHERE client = ? AND json_extract(record, '$.claims.jti') = ? RETURNING id",
        client,
        jti,
      )
      .toArray()
      .map(({ id }) => id);
  }

  deleteAllOf(client: string): void {
    this.#sql.exec("DELETE FROM handles WHERE client = ?", client);
  }
}
