import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { Sql } from "../../worker/registry/sql.ts";

/** What a Durable Object's tables use of its SQLite, over Node's own: where tests set times, or need many rows. */
export function sqliteStorage(): Sql {
  const database = new DatabaseSync(":memory:");
  const exec = (query: string, ...bindings: SQLInputValue[]) => {
    if (bindings.length === 0 && /;\s*\S/.test(query)) {
      database.exec(query);
      return cursor([], 0);
    }
    const changes = () => (database.prepare("SELECT total_changes() AS n").get() as { n: number }).n;
    const before = changes();
    const rows = database.prepare(query).all(...bindings);
    return cursor(rows, changes() - before);
  };
  return { exec } as Sql;
}

function cursor(rows: readonly object[], rowsWritten: number) {
  return {
    rowsWritten,
    // Node's rows have no prototype.
    toArray: () => rows.map((row) => ({ ...row })),
    one: () => {
      if (rows.length !== 1) throw new Error(`${rows.length} rows, not one`);
      return { ...rows[0] };
    },
  };
}
