/** The issuers' rules in clients' records, by their ids. */
export class RulesTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS client_rules (client TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (client, id)) STRICT",
    );
  }

  /**
   * Sets a client's rules.
   * @returns those that it has no more
   */
  replace(client: string, ids: readonly string[]): string[] {
    const before = this.#sql
      .exec<{ id: string }>("SELECT id FROM client_rules WHERE client = ?", client)
      .toArray();
    this.deleteAllOf(client);
    for (const id of ids) this.#sql.exec("INSERT OR IGNORE INTO client_rules VALUES (?, ?)", client, id);
    return before.flatMap(({ id }) => (ids.includes(id) ? [] : [id]));
  }

  deleteAllOf(client: string): void {
    this.#sql.exec("DELETE FROM client_rules WHERE client = ?", client);
  }
}
