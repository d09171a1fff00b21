type Value = string | number | null;

/** What tables use of a Durable Object's SQLite. */
export interface Sql {
  exec<T extends Record<string, Value>>(
    query: string,
    ...bindings: Value[]
  ): { toArray(): T[]; one(): T; readonly rowsWritten: number };
}
