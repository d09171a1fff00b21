import type { ClientKey } from "../client-keys.ts";

/** A key that has ended. */
export interface EndedKey {
  readonly client: string;
  readonly key: string;
  readonly exp: number;
}

/** The clients' keys: which there are, and when they end. What has ended stays in its record until that is written again. */
export class KeysTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS client_keys (
        client TEXT NOT NULL, key TEXT NOT NULL, exp INTEGER, ended INTEGER NOT NULL, PRIMARY KEY (client, key)
      ) STRICT;
      CREATE INDEX IF NOT EXISTS client_keys_pending ON client_keys (exp) WHERE ended = 0;
    `);
  }

  /** Every key in a client's record, also one that has ended. */
  of(client: string): ClientKey[] {
    return this.#sql
      .exec<{ key: string; exp: number | null }>("SELECT key, exp FROM client_keys WHERE client = ?", client)
      .toArray();
  }

  /**
   * Sets a client's keys.
   * @param now seconds since 1970
   * @returns thumbprints of those that were good until now, and are no more
   */
  replace(client: string, keys: readonly ClientKey[], now: number): string[] {
    const goOn = new Set(keys.filter(({ exp }) => exp === null || exp > now).map(({ key }) => key));
    const ended = this.#sql
      .exec<{ key: string }>("SELECT key FROM client_keys WHERE client = ? AND ended = 0", client)
      .toArray()
      .flatMap(({ key }) => (goOn.has(key) ? [] : [key]));
    this.deleteAllOf(client);
    for (const { key, exp } of keys) {
      const values = [client, key, exp, goOn.has(key) ? 0 : 1];
      this.#sql.exec("INSERT INTO client_keys VALUES (?, ?, ?, ?)", ...values);
    }
    return ended;
  }

  /**
   * Ends the keys whose time has come since the last call.
   * @param now seconds since 1970
   */
  takeEnded(now: number): EndedKey[] {
    return this.#sql
      .exec<{
        client: string;
        key: string;
        exp: number;
      }>("UPDATE client_keys SET ended = 1 WHERE ended = 0 AND exp <= ? RETURNING client, key, exp", now)
      .toArray();
  }

  deleteAllOf(client: string): void {
    this.#sql.exec("DELETE FROM client_keys WHERE client = ?", client);
  }

  /** Clients of which no key is noted: those without keys, and those stored before keys were. */
  unknownClients(): string[] {
    return this.#sql
      .exec<{ id: string }>("SELECT id FROM clients WHERE id NOT IN (SELECT client FROM client_keys)")
      .toArray()
      .map(({ id }) => id);
  }
}
