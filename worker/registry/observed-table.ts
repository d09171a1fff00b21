import type { Observed, ObservedTarget } from "../../protocol/observed.ts";
import { OBSERVED_PATHS_MAX, OBSERVED_ROWS_MAX } from "../limits.ts";
import type { Observation, Observations } from "../observations.ts";

interface Row extends Record<string, SqlStorageValue> {
  readonly entry: string;
  readonly paths: string;
  readonly more_paths: number;
  readonly first: number;
  readonly last: number;
  readonly count: number;
  readonly would_deny: number;
}

/** What was used under clients whose lists are not enforced: a bounded number of entries each, the ones used last. */
export class ObservedTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS observed (
        client TEXT NOT NULL, entry TEXT NOT NULL, paths TEXT NOT NULL, more_paths INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, would_deny INTEGER NOT NULL,
        PRIMARY KEY (client, entry)
      ) STRICT;
      CREATE TABLE IF NOT EXISTS observed_dropped (client TEXT PRIMARY KEY, dropped INTEGER NOT NULL) STRICT;
    `);
  }

  /** Adds what an isolate saw. */
  add({ client, seen, dropped }: Observations): void {
    for (const one of seen) this.#merge(client, one);
    const over = this.#sql.exec(
      "DELETE FROM observed WHERE client = ?1 AND entry IN (SELECT entry FROM observed WHERE client = ?1 ORDER BY last DESC, entry LIMIT -1 OFFSET ?2)",
      client,
      OBSERVED_ROWS_MAX,
    ).rowsWritten;
    if (over + dropped === 0) return;
    this.#sql.exec(
      "INSERT INTO observed_dropped VALUES (?, ?) ON CONFLICT (client) DO UPDATE SET dropped = dropped + excluded.dropped",
      client,
      over + dropped,
    );
  }

  /** All that is kept of a client, in the order of its entries. */
  of(client: string): Observed {
    const rows = this.#sql.exec<Row>("SELECT * FROM observed WHERE client = ? ORDER BY entry", client);
    const [{ dropped } = { dropped: 0 }] = this.#sql
      .exec<{ dropped: number }>("SELECT dropped FROM observed_dropped WHERE client = ?", client)
      .toArray();
    return { client, dropped, entries: rows.toArray().map((row) => targetOf(row)) };
  }

  /** Forgets a client; returns how much there was: entries, and those that were not kept. */
  deleteAllOf(client: string): { readonly entries: number; readonly dropped: number } {
    const entries = this.#sql
      .exec("DELETE FROM observed WHERE client = ? RETURNING 1", client)
      .toArray().length;
    const [{ dropped } = { dropped: 0 }] = this.#sql
      .exec<{ dropped: number }>("DELETE FROM observed_dropped WHERE client = ? RETURNING dropped", client)
      .toArray();
    return { entries, dropped };
  }

  #merge(client: string, seen: Observation): void {
    const { entry, count, first, last, wouldDeny } = seen;
    const row = this.#sql
      .exec<Row>("SELECT * FROM observed WHERE client = ? AND entry = ?", client, entry)
      .toArray()[0];
    const paths = row === undefined ? [] : targetOf(row).paths;
    const isKnown = typeof seen.path !== "string" || paths.includes(seen.path);
    const hasRoom = paths.length < OBSERVED_PATHS_MAX;
    const more = row?.more_paths === 1 || seen.path === null || (!isKnown && !hasRoom);
    this.#sql.exec(
      "INSERT OR REPLACE INTO observed VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      client,
      entry,
      JSON.stringify(isKnown || !hasRoom ? paths : [...paths, seen.path].toSorted()),
      Number(more),
      Math.min(first, row?.first ?? first),
      Math.max(last, row?.last ?? last),
      count + (row?.count ?? 0),
      Number(wouldDeny),
    );
  }
}

function targetOf({ entry, paths, more_paths, first, last, count, would_deny }: Row): ObservedTarget {
  return {
    entry,
    paths: JSON.parse(paths) as string[],
    more_paths: more_paths === 1,
    first,
    last,
    count,
    would_deny: would_deny === 1,
  };
}
