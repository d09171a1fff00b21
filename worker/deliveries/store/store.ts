import type { Sql } from "../../registry/sql.ts";
import { BodiesTable } from "./bodies-table.ts";
import { BreakersTable } from "./breakers-table.ts";
import type { DeliveryDetail } from "../../../protocol/deliveries.ts";
import { answerOf, attemptsOf, begun, type EventRow, listed } from "./event-row.ts";
import { EventsTable } from "./events-table.ts";
import { Lists } from "./lists.ts";
import { createTables } from "./schema.ts";
import { SweepsTable } from "./sweeps-table.ts";
import { TotalsTable } from "./totals-table.ts";

/** The tables of one store. */
export class Store {
  readonly events: EventsTable;
  readonly bodies: BodiesTable;
  readonly totals: TotalsTable;
  readonly breakers: BreakersTable;
  readonly sweeps: SweepsTable;
  readonly lists: Lists;

  constructor(sql: Sql) {
    createTables(sql);
    this.events = new EventsTable(sql);
    this.bodies = new BodiesTable(sql);
    this.totals = new TotalsTable(sql);
    this.breakers = new BreakersTable(sql);
    this.sweeps = new SweepsTable(sql);
    this.lists = new Lists(sql, this.totals);
  }

  /** All that is known of an event. */
  detail(row: EventRow): DeliveryDetail {
    const underWay = this.totals
      .underWay()
      .filter(({ seq }) => seq === row.seq)
      .map((attempt) => begun(attempt));
    return {
      ...listed(row, this.totals.owner()!, this.breakers.get(row.queue)),
      attempts: [...attemptsOf(row), ...underWay],
      answer: answerOf(row),
    };
  }
}
