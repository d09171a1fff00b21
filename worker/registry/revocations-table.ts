import { REVOCATIONS_PAGE_MAX } from "../../protocol/limits.ts";
import type { Revocation, RevocationKind, RevocationPage } from "../../protocol/revocations.ts";
import { REVOCATIONS_RECENT_SECONDS } from "../limits.ts";

/** What was revoked. A row is kept for as long as what it revokes could go on somewhere. */
export class RevocationsTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    // Without `expires` it is kept for good.
    sql.exec(`
      CREATE TABLE IF NOT EXISTS revocations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, client TEXT NOT NULL, id TEXT NOT NULL,
        expires INTEGER
      ) STRICT;
      CREATE INDEX IF NOT EXISTS revocations_id ON revocations (client, kind, id);
      CREATE INDEX IF NOT EXISTS revocations_at ON revocations (at);
    `);
  }

  /**
   * Notes one, and drops those whose time is over.
   * @param expires seconds since 1970 after which it means nothing any more; null for never
   */
  add({ at, kind, client, id }: Omit<Revocation, "seq">, expires: number | null): void {
    // The newest one stays, since nodes go on from its number.
    this.#sql.exec(
      "DELETE FROM revocations WHERE expires < ? AND seq < (SELECT MAX(seq) FROM revocations)",
      at,
    );
    const values = [at, kind, client, id, expires];
    this.#sql.exec(
      "INSERT INTO revocations (at, kind, client, id, expires) VALUES (?, ?, ?, ?, ?)",
      ...values,
    );
  }

  /** Whether a scope token was revoked. */
  hasToken(client: string, jti: string): boolean {
    return (
      this.#sql
        .exec("SELECT 1 FROM revocations WHERE client = ? AND kind = 'token' AND id = ?", client, jti)
        .toArray().length > 0
    );
  }

  /**
   * What came after one number. Without it, and for one that was never given, what was revoked lately.
   * @param now seconds since 1970
   */
  list(after: number | undefined, now: number): RevocationPage {
    const last = this.#sql
      .exec<{ last: number }>("SELECT COALESCE(MAX(seq), 0) AS last FROM revocations")
      .one().last;
    const isKnown = after !== undefined && after <= last;
    const entries = this.#sql
      .exec<{ seq: number; at: number; kind: RevocationKind; client: string; id: string }>(
        `SELECT seq, at, kind, client, id FROM revocations WHERE ${isKnown ? "seq > ?" : "at >= ?"} ORDER BY seq LIMIT ?`,
        isKnown ? after : now - REVOCATIONS_RECENT_SECONDS,
        REVOCATIONS_PAGE_MAX,
      )
      .toArray();
    return { next: entries.length < REVOCATIONS_PAGE_MAX ? last : entries.at(-1)!.seq, entries };
  }
}
