import { DurableObject } from "cloudflare:workers";
import { CLOCK_LEEWAY_SECONDS } from "../protocol/limits.ts";
import type { ClientRecord } from "./clients.ts";
import type { HandleRecord } from "./handles.ts";

/** A record with its version, which counts its changes from 1. */
export interface Versioned<T> {
  readonly version: number;
  readonly record: T;
}

/** What a write expects to find: one version, nothing, or any version at all. */
export type Expected = number | "none" | "any";

/**
 * The registry: one object that holds what the edge must agree on. Each change is one SQLite transaction and is
 * refused unless the caller knew the version that it replaces.
 */
export class Registry extends DurableObject<object> {
  constructor(state: DurableObjectState, env: object) {
    super(state, env);
    state.storage.sql.exec(`
      CREATE TABLE IF NOT EXISTS clients (id TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS handles (
        hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, client TEXT NOT NULL, expires INTEGER NOT NULL, record TEXT NOT NULL
      ) STRICT;
      CREATE INDEX IF NOT EXISTS handles_client ON handles (client);
      CREATE TABLE IF NOT EXISTS used_ids (id TEXT PRIMARY KEY, expires INTEGER NOT NULL) STRICT;
    `);
  }

  /** The client's record, or null. */
  client(id: string): Versioned<ClientRecord> | null {
    const row = this.ctx.storage.sql
      .exec<{ version: number; record: string }>("SELECT version, record FROM clients WHERE id = ?", id)
      .toArray()[0];
    return row === undefined
      ? null
      : { version: row.version, record: JSON.parse(row.record) as ClientRecord };
  }

  /** Stores a record; returns its new version, or null where another version is there than was expected. */
  putClient(record: ClientRecord, expected: Expected): number | null {
    const found = this.#versionOf(record.id);
    if (!matches(expected, found)) return null;
    const version = (found ?? 0) + 1;
    this.ctx.storage.sql.exec(
      "INSERT INTO clients VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version, record = excluded.record",
      record.id,
      version,
      JSON.stringify(record),
    );
    return version;
  }

  /** Removes a record with the client's handles; false where another version is there than was expected. */
  deleteClient(id: string, expected: Expected): boolean {
    const found = this.#versionOf(id);
    if (found === undefined || !matches(expected, found)) return false;
    this.ctx.storage.sql.exec("DELETE FROM clients WHERE id = ?", id);
    this.ctx.storage.sql.exec("DELETE FROM handles WHERE client = ?", id);
    return true;
  }

  /** What a handle stands for, by its hash, or null. */
  handle(hash: string): HandleRecord | null {
    const row = this.ctx.storage.sql
      .exec<{ record: string }>("SELECT record FROM handles WHERE hash = ?", hash)
      .toArray()[0];
    return row === undefined ? null : (JSON.parse(row.record) as HandleRecord);
  }

  /**
   * Stores a handle, and drops those that have expired.
   * @param now seconds since 1970
   * @returns false where its client is not there any more
   */
  putHandle(hash: string, record: HandleRecord, now: number): boolean {
    const { iss: client, exp: expires } = record.claims;
    if (this.#versionOf(client) === undefined) return false;
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM handles WHERE expires + ? < ?", CLOCK_LEEWAY_SECONDS, now);
    const values = [hash, record.id, client, expires, JSON.stringify(record)];
    sql.exec("INSERT INTO handles VALUES (?, ?, ?, ?, ?)", ...values);
    return true;
  }

  /** Revokes a handle; false where there is none of this id. */
  deleteHandle(id: string): boolean {
    return this.ctx.storage.sql.exec("DELETE FROM handles WHERE id = ?", id).rowsWritten > 0;
  }

  /**
   * Takes an administrative token's id once.
   * @param expires seconds since 1970 after which no token with this id can be valid
   * @returns false where the id was used before
   */
  useOnce(id: string, expires: number, now: number): boolean {
    this.ctx.storage.sql.exec("DELETE FROM used_ids WHERE expires < ?", now);
    const { rowsWritten } = this.ctx.storage.sql.exec(
      "INSERT OR IGNORE INTO used_ids VALUES (?, ?)",
      id,
      expires,
    );
    return rowsWritten > 0;
  }

  #versionOf(id: string): number | undefined {
    return this.ctx.storage.sql
      .exec<{ version: number }>("SELECT version FROM clients WHERE id = ?", id)
      .toArray()[0]?.version;
  }
}

function matches(expected: Expected, found: number | undefined): boolean {
  if (expected === "none") return found === undefined;
  return expected === "any" ? found !== undefined : found === expected;
}
