/** The rules by which platforms' workloads may act as clients, by their ids. */
export class RulesTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS client_rules (client TEXT NOT NULL, rule TEXT NOT NULL, PRIMARY KEY (client, rule)) STRICT",
    );
  }

  /** Sets a client's rules; returns those that were there until now, and are no more. */
  replace(client: string, rules: readonly string[]): string[] {
    const goOn = new Set(rules);
    const gone = this.#sql
      .exec<{ rule: string }>("DELETE FROM client_rules WHERE client = ? RETURNING rule", client)
      .toArray()
      .flatMap(({ rule }) => (goOn.has(rule) ? [] : [rule]));
    for (const rule of goOn) this.#sql.exec("INSERT INTO client_rules VALUES (?, ?)", client, rule);
    return gone;
  }

  /** Clients whose records have rules of which none is noted: those stored before rules were. */
  unknownClients(): string[] {
    return this.#sql
      .exec<{ id: string }>(
        "SELECT id FROM clients WHERE CASE WHEN json_valid(record) THEN record ->> '$.issuers' END IS NOT NULL AND id NOT IN (SELECT client FROM client_rules)",
      )
      .toArray()
      .map(({ id }) => id);
  }
}
