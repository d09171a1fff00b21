import type { DeliveryCounts, DeliveryState, Owner } from "../../../protocol/deliveries.ts";
import type { Sql } from "../../registry/sql.ts";

/** An attempt that was begun: the event's number, which one it is, and when. */
export interface UnderWay {
  readonly seq: number;
  readonly n: number;
  readonly started: number;
}

interface Row extends Record<string, string | number | null> {
  readonly owner: string | null;
  readonly noted: number;
  readonly seq: number;
  readonly bytes: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly pending: number;
  readonly dead: number;
  readonly purged: number;
  readonly under_way: string;
}

/** The one row that says what a store holds. It changes with what it counts, in the same transaction. */
export class TotalsTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  get(): Row {
    return this.#sql.exec<Row>("SELECT * FROM totals").one();
  }

  counts(): DeliveryCounts {
    const { accepted, delivered, pending, dead, purged } = this.get();
    return { accepted, delivered, pending, dead, purged };
  }

  /** Whose store this is; null before its first event. */
  owner(): Owner | null {
    return this.get().owner as Owner | null;
  }

  /** Remembers that the registry knows of this store. */
  note(): void {
    this.#sql.exec("UPDATE totals SET noted = 1");
  }

  /** Counts an event that was accepted. */
  accept(owner: Owner, seq: number, bytes: number): void {
    this.#sql.exec(
      "UPDATE totals SET owner = ?, seq = ?, bytes = bytes + ?, accepted = accepted + 1, pending = pending + 1",
      owner,
      seq,
      bytes,
    );
  }

  /** Counts an event in another state. */
  move(from: DeliveryState, to: DeliveryState | "purged", bytes: number): void {
    this.#sql.exec(
      from === to
        ? "UPDATE totals SET bytes = bytes + ?"
        : `UPDATE totals SET bytes = bytes + ?, ${from} = ${from} - 1, ${to} = ${to} + 1`,
      bytes,
    );
  }

  underWay(): UnderWay[] {
    return JSON.parse(this.get().under_way) as UnderWay[];
  }

  setUnderWay(attempts: readonly UnderWay[]): void {
    this.#sql.exec("UPDATE totals SET under_way = ?", JSON.stringify(attempts));
  }
}
