/** Ids of tokens that are good once. */
export class UsedIdsTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec("CREATE TABLE IF NOT EXISTS used_ids (id TEXT PRIMARY KEY, expires INTEGER NOT NULL) STRICT");
  }

  /**
   * Takes an id once.
   * @param expires seconds since 1970 after which no token with this id can be valid
   * @returns false where the id was used before
   */
  take(id: string, expires: number, now: number): boolean {
    this.#sql.exec("DELETE FROM used_ids WHERE expires < ?", now);
    return this.#sql.exec("INSERT OR IGNORE INTO used_ids VALUES (?, ?)", id, expires).rowsWritten > 0;
  }
}
