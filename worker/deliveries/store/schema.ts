import type { Sql } from "../../registry/sql.ts";

/**
 * Makes the tables of a store.
 *
 * What changes of an event stands apart from what is only kept, so that an attempt rewrites a short row. An event's number tells
 * when it was accepted (`numbers.ts`). `queue` is the origin that it waits for, empty of a route's own target and of what has ended;
 * `moment` is when it is due, null where it waits in its lane, or when it ended: one index serves the engine, and the end of its keeping.
 */
export function createTables(sql: Sql): void {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS events (
      seq INTEGER PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL, client TEXT NOT NULL, method TEXT NOT NULL, origin TEXT,
      digest TEXT NOT NULL, size INTEGER NOT NULL, weight INTEGER NOT NULL, dedupe TEXT, likeness TEXT, lane TEXT, schedule TEXT,
      state TEXT NOT NULL, queue TEXT NOT NULL, moment INTEGER, spent INTEGER NOT NULL, tries INTEGER NOT NULL,
      interruptions INTEGER NOT NULL, faults INTEGER NOT NULL, ended INTEGER, reason TEXT, owes INTEGER,
      attempts TEXT NOT NULL, answer TEXT
    ) STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS events_id ON events (id);
    CREATE UNIQUE INDEX IF NOT EXISTS events_dedupe ON events (dedupe) WHERE dedupe IS NOT NULL;
    CREATE INDEX IF NOT EXISTS events_moment ON events (state, queue, moment);
    CREATE INDEX IF NOT EXISTS events_lane ON events (lane) WHERE state = 'pending' AND lane IS NOT NULL;
    CREATE INDEX IF NOT EXISTS events_owes ON events (seq) WHERE owes = 1;
    CREATE TABLE IF NOT EXISTS contents (seq INTEGER PRIMARY KEY, request TEXT NOT NULL, callback TEXT, body BLOB) STRICT;
    CREATE TABLE IF NOT EXISTS chunks (id TEXT NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (id, n)) STRICT;
    CREATE TABLE IF NOT EXISTS uploads (
      id TEXT PRIMARY KEY, began INTEGER NOT NULL, pieces INTEGER NOT NULL, bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS breakers (
      queue TEXT PRIMARY KEY, failures INTEGER NOT NULL, probes INTEGER NOT NULL, probe_at INTEGER
    ) STRICT;
    CREATE TABLE IF NOT EXISTS sweeps (
      id INTEGER PRIMARY KEY, act TEXT NOT NULL, filter TEXT NOT NULL, rate REAL NOT NULL,
      behind INTEGER NOT NULL, last INTEGER NOT NULL, due INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS totals (
      one INTEGER PRIMARY KEY, owner TEXT, noted INTEGER NOT NULL, seq INTEGER NOT NULL, bytes INTEGER NOT NULL,
      accepted INTEGER NOT NULL, delivered INTEGER NOT NULL, pending INTEGER NOT NULL, dead INTEGER NOT NULL,
      purged INTEGER NOT NULL, under_way TEXT NOT NULL
    ) STRICT;
    INSERT OR IGNORE INTO totals VALUES (1, NULL, 0, 0, 0, 0, 0, 0, 0, 0, '[]');
  `);
}
