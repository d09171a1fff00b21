import type { AuditAction, AuditedChange, AuditEntry, Author } from "../audit.ts";
import { AUDIT_ROWS_MAX } from "../limits.ts";
import type { Sql } from "./sql.ts";

/** Who changed what, and when. The oldest rows go when there are too many. */
export class AuditTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS audit (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, by TEXT NOT NULL, action TEXT NOT NULL, client TEXT NOT NULL,
        subject TEXT NOT NULL, version INTEGER, detail TEXT NOT NULL
      ) STRICT;
    `);
  }

  add({ by, at }: Author, { action, client, subject, version, detail }: AuditedChange): void {
    const values = [at, by, action, client, subject, version, JSON.stringify(detail)];
    this.#sql.exec(
      "INSERT INTO audit (at, by, action, client, subject, version, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...values,
    );
    this.#sql.exec("DELETE FROM audit WHERE seq <= (SELECT MAX(seq) FROM audit) - ?", AUDIT_ROWS_MAX);
  }

  /**
   * The newest first.
   * @param before only what was done before this number
   * @param client only what was done to this client and its handles and tokens
   */
  list({
    before = Number.MAX_SAFE_INTEGER,
    client = null,
    limit,
  }: {
    readonly before?: number | undefined;
    readonly client?: string | null | undefined;
    readonly limit: number;
  }): AuditEntry[] {
    return this.#sql
      .exec<{
        seq: number;
        at: number;
        by: string;
        action: AuditAction;
        client: string;
        subject: string;
        version: number | null;
        detail: string;
      }>(
        "SELECT * FROM audit WHERE seq < ? AND client = COALESCE(?, client) ORDER BY seq DESC LIMIT ?",
        before,
        client,
        limit,
      )
      .toArray()
      .map((row) => Object.assign(row, { detail: JSON.parse(row.detail) as object }));
  }
}
