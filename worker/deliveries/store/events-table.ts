import type { Sql } from "../../registry/sql.ts";
import type { EventRow } from "./event-row.ts";
import { rowBytes } from "./row-limit.ts";

/** What changes of an event. */
export type EventChange = Partial<
  Pick<
    EventRow,
    | "weight"
    | "state"
    | "queue"
    | "moment"
    | "spent"
    | "tries"
    | "interruptions"
    | "faults"
    | "ended"
    | "reason"
    | "owes"
    | "attempts"
    | "answer"
  >
>;

/** The events of a store. */
export class EventsTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add(row: EventRow): void {
    const values = [
      row.seq,
      row.id,
      row.kind,
      row.client,
      row.method,
      row.origin,
      row.digest,
      row.size,
      row.weight,
      row.dedupe,
      row.likeness,
      row.lane,
      row.schedule,
      row.state,
      row.queue,
      row.moment,
      row.spent,
      row.tries,
      row.interruptions,
      row.faults,
      row.ended,
      row.reason,
      row.owes,
      row.attempts,
      row.answer,
    ];
    rowBytes(values);
    this.#sql.exec(`INSERT INTO events VALUES (${values.map(() => "?").join(", ")})`, ...values);
  }

  /** Changes an event; returns it as it is then. */
  change(row: EventRow, change: EventChange): EventRow {
    const names = Object.keys(change);
    const values = Object.values(change);
    const next = { ...row, ...change } as EventRow;
    rowBytes(Object.values(next));
    this.#sql.exec(
      `UPDATE events SET ${names.map((name) => `${name} = ?`).join(", ")} WHERE seq = ?`,
      ...values,
      row.seq,
    );
    return next;
  }

  remove(seq: number): void {
    this.#sql.exec("DELETE FROM events WHERE seq = ?", seq);
  }

  get(seq: number): EventRow | undefined {
    return this.#sql.exec<EventRow>("SELECT * FROM events WHERE seq = ?", seq).toArray()[0];
  }

  byId(id: string): EventRow | undefined {
    return this.#sql.exec<EventRow>("SELECT * FROM events WHERE id = ?", id).toArray()[0];
  }

  /** By what it is known by. */
  known(dedupe: string): EventRow | undefined {
    return this.#sql.exec<EventRow>("SELECT * FROM events WHERE dedupe = ?", dedupe).toArray()[0];
  }

  /** What pending events wait for, each once: as many look-ups as there are, however many events. */
  queues(): string[] {
    return this.#sql
      .exec<{ queue: string }>(
        `WITH RECURSIVE each (queue) AS (
          SELECT (SELECT min(queue) FROM events WHERE state = 'pending')
          UNION ALL
          SELECT (SELECT min(queue) FROM events WHERE state = 'pending' AND queue > each.queue) FROM each WHERE queue IS NOT NULL
        ) SELECT queue FROM each WHERE queue IS NOT NULL`,
      )
      .toArray()
      .map(({ queue }) => queue);
  }

  /** Those of a queue that are due, the one that has been so for longest first. */
  due(queue: string, now: number, limit: number): EventRow[] {
    return this.#sql
      .exec<EventRow>(
        "SELECT * FROM events WHERE state = 'pending' AND queue = ? AND moment <= ? ORDER BY moment, seq LIMIT ?",
        queue,
        now,
        limit,
      )
      .toArray();
  }

  /** When the first one of a queue is due, or was, of those that are so after a time. */
  firstDue(queue: string, after: number): number | undefined {
    return this.#sql
      .exec<{ moment: number }>(
        "SELECT moment FROM events WHERE state = 'pending' AND queue = ? AND moment > ? ORDER BY moment LIMIT 1",
        queue,
        Math.max(after, -1),
      )
      .toArray()[0]?.moment;
  }

  /** The first one that is pending in a lane. */
  laneHead(lane: string): EventRow | undefined {
    return this.#sql
      .exec<EventRow>("SELECT * FROM events WHERE state = 'pending' AND lane = ? ORDER BY seq LIMIT 1", lane)
      .toArray()[0];
  }

  /** The one of a lane that is due, or will be: all others wait for its end. */
  laneTurn(lane: string): EventRow | undefined {
    return this.#sql
      .exec<EventRow>(
        "SELECT * FROM events WHERE state = 'pending' AND lane = ? AND moment IS NOT NULL ORDER BY seq LIMIT 1",
        lane,
      )
      .toArray()[0];
  }

  /** Those of which somebody has yet to be told that they ended, of numbers behind the given one. */
  owing(behind: number, limit: number): EventRow[] {
    return this.#sql
      .exec<EventRow>("SELECT * FROM events WHERE owes = 1 AND seq > ? ORDER BY seq LIMIT ?", behind, limit)
      .toArray();
  }

  /** Those that ended before a time, the oldest first; without those of which somebody has yet to be told. */
  endedBefore(state: "delivered" | "dead", time: number, limit: number): EventRow[] {
    return this.#sql
      .exec<EventRow>(
        "SELECT * FROM events WHERE state = ? AND queue = '' AND moment < ? AND owes IS NOT 1 ORDER BY moment LIMIT ?",
        state,
        time,
        limit,
      )
      .toArray();
  }

  /** When the first one ended of those that are kept. */
  firstEnded(state: "delivered" | "dead"): number | undefined {
    return this.#sql
      .exec<{ moment: number }>(
        "SELECT moment FROM events WHERE state = ? AND queue = '' ORDER BY moment LIMIT 1",
        state,
      )
      .toArray()[0]?.moment;
  }
}
