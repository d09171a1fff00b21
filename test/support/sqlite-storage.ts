import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { Sql } from "../../worker/registry/sql.ts";

/** What a Durable Object's tables use of its SQLite, over Node's own: where tests set times, or need many rows. */
export function sqliteStorage(): Sql {
  return sqliteDatabase().sql;
}

/**
 * The same, with transactions: an error within one leaves nothing behind.
 * @param path its file; in memory by default
 */
export function sqliteDatabase(path = ":memory:"): {
  sql: Sql;
  transaction: <T>(work: () => T) => T;
  close(): void;
} {
  const database = new DatabaseSync(path);
  const statements = new Map<string, StatementSync>();
  const prepared = (query: string): StatementSync => {
    const known = statements.get(query) ?? database.prepare(query);
    statements.set(query, known);
    return known;
  };
  const exec = (query: string, ...bindings: SQLInputValue[]) => {
    if (bindings.length === 0 && /;\s*\S/.test(query)) {
      database.exec(query);
      return cursor([], 0);
    }
    const changes = () => (prepared("SELECT total_changes() AS n").get() as { n: number }).n;
    const before = changes();
    const rows = prepared(query).all(...bindings);
    return cursor(rows, changes() - before);
  };
  let depth = 0;
  const transaction = <T>(work: () => T): T => {
    const name = `level_${depth++}`;
    database.exec(`SAVEPOINT ${name}`);
    try {
      const result = work();
      database.exec(`RELEASE ${name}`);
      return result;
    } catch (error) {
      database.exec(`ROLLBACK TO ${name}; RELEASE ${name}`);
      throw error;
    } finally {
      depth--;
    }
  };
  return { sql: { exec } as Sql, transaction, close: () => database.close() };
}

function cursor(rows: readonly object[], rowsWritten: number) {
  // Node's rows have no prototype, and views where a Durable Object has buffers.
  const plain = (row: object) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]: [string, unknown]) => [
        name,
        value instanceof Uint8Array ? Uint8Array.from(value).buffer : value,
      ]),
    );
  return {
    rowsWritten,
    toArray: () => rows.map((row) => plain(row)),
    one: () => {
      if (rows.length !== 1) throw new Error(`${rows.length} rows, not one`);
      return plain(rows[0]!);
    },
  };
}
