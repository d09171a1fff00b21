type Value = string | number | null | ArrayBuffer;

/** What tables use of a Durable Object's SQLite. */
export interface Sql {
  exec<T extends Record<string, Value>>(
    query: string,
    ...bindings: (Value | Uint8Array<ArrayBuffer>)[]
  ): { toArray(): T[]; one(): T; readonly rowsWritten: number };
}
