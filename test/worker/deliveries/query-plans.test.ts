import { expect, test } from "vitest";
import { acceptEvent } from "../../../worker/deliveries/engine/accept.ts";
import { removeEvent } from "../../../worker/deliveries/engine/change-state.ts";
import { settle } from "../../../worker/deliveries/engine/settle.ts";
import { nextMoment, takeDue } from "../../../worker/deliveries/engine/take.ts";
import { Store } from "../../../worker/deliveries/store/store.ts";
import type { Sql } from "../../../worker/registry/sql.ts";
import { answered, newEvent } from "../../support/simulated-store.ts";
import { sqliteDatabase } from "../../support/sqlite-storage.ts";

test("nothing that is done for an event goes through all of them", () => {
  const { sql } = sqliteDatabase();
  const queries = new Map<string, Parameters<Sql["exec"]>[1][]>();
  const watched: Sql = {
    exec: (query, ...bindings) => {
      queries.set(query, bindings);
      return sql.exec(query, ...bindings);
    },
  };
  const store = new Store(watched);
  queries.clear();
  const now = 1_000;
  for (let n = 0; n < 20; n++) {
    const event = newEvent({ lane: n % 2 === 0 ? "a" : null, dedupe: `event-${n}`, callback: "sealed" });
    acceptEvent(store, event, new Uint8Array(), { now, route: undefined });
  }
  const flight = { queue: "", lane: null, isAlone: false };
  const [one, two, three] = takeDue(store, [], 6, now);
  takeDue(store, [{ seq: one!.seq, ...flight }], 6, now);
  nextMoment(store, now, now);
  const circumstances = { now, random: 0.5, schedule: [0, 5] };
  settle(store, { seq: one!.seq, n: 1, started: now }, answered(200), circumstances);
  settle(store, { seq: two!.seq, n: 1, started: now }, answered(500), circumstances);
  removeEvent(store, three!, now);
  store.events.owing(1, 10);
  store.events.firstEnded("dead");
  store.events.endedBefore("delivered", now, 10);
  store.bodies.contents(one!.seq);
  expect([...store.bodies.body(one!).chunks()]).toEqual([]);
  store.detail(store.events.get(two!.seq)!);

  const large = /SCAN (events|contents|chunks)(?! USING INDEX events_owes)/;
  const plans = [...queries].flatMap(([query, bindings]) =>
    sql
      .exec<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`, ...bindings)
      .toArray()
      .map(({ detail }) => `${detail} in ${query}`),
  );
  expect(plans.length).toBeGreaterThan(10);
  expect(plans.filter((plan) => large.test(plan) || plan.includes("TEMP B-TREE"))).toEqual([]);
});
