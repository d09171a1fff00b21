import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { NewEvent } from "../../../worker/deliveries/event.ts";
import { endEvent, removeEvent } from "../../../worker/deliveries/engine/change-state.ts";
import { replayEvent } from "../../../worker/deliveries/engine/sweep.ts";
import type { DeliveryOwner } from "../../../worker/deliveries/owner.ts";
import type { AttemptResult } from "../../../worker/deliveries/attempt-result.ts";
import { answered, newEvent, passes, relayFault, SimulatedStore } from "../../support/simulated-store.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const RESULTS: Record<string, AttemptResult> = {
  good: answered(200),
  bad: answered(500),
  gone: answered(410),
  relay: relayFault(),
  unreadable: { kind: "unreadable", detail: "it was changed" },
  held: { kind: "held", reason: "it was removed" },
};

/** Half an hour is as long as anything is kept. */
const OWNER: DeliveryOwner = {
  route: {
    version: 1,
    record: {
      id: "stripe",
      client: "shop",
      target: "https://internal.example.com/",
      verifier: { type: "none" },
      retention: { deliveredDays: 1 / 48, deadDays: 1 / 48 },
    },
  },
  isThere: true,
  pause: null,
};

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("accept" as const),
      lane: fc.constantFrom(null, "a", "b"),
      dedupe: fc.constantFrom(null, "one", "two", "three"),
      kind: fc.constantFrom("hook" as const, "call" as const),
      callback: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constant("replay" as const), which: fc.nat(30) }),
  fc.record({ do: fc.constant("purge" as const), which: fc.nat(30) }),
  fc.record({ do: fc.constant("skip" as const), lane: fc.constantFrom("a", "b") }),
  fc.record({
    do: fc.constant("sweep" as const),
    act: fc.constantFrom("replay" as const, "purge" as const),
    state: fc.constantFrom(undefined, "dead" as const, "delivered" as const, "pending" as const),
  }),
  fc.record({
    do: fc.constant("wait" as const),
    ms: fc.constantFrom(10, 1_000, 60_000, 3_600_000),
  }),
  fc.record({ do: fc.constant("result" as const), result: fc.constantFrom(...Object.keys(RESULTS)) }),
  fc.record({ do: fc.constant("crash" as const) }),
  fc.record({ do: fc.constant("wake" as const) }),
);

/** What the counts say, against what there is. */
function expectTrue(store: SimulatedStore): void {
  const { accepted, purged, ...states } = store.counts();
  expect(states.delivered + states.pending + states.dead + purged).toBe(accepted);
  const rows = store.rows();
  for (const state of ["delivered", "pending", "dead"] as const) {
    expect(rows.filter((row) => row.state === state)).toHaveLength(states[state]);
  }
  expect(rows.reduce((sum, { weight }) => sum + weight, 0)).toBe(store.store.totals.get().bytes);
  // A lane in which something is pending has one whose turn it is; outside of lanes it is everybody's.
  const pending = rows.filter(({ state }) => state === "pending");
  for (const lane of new Set(pending.map((row) => row.lane))) {
    const turns = pending.filter((row) => row.lane === lane && row.moment !== null);
    expect(turns).toHaveLength(lane === null ? pending.filter((row) => row.lane === null).length : 1);
  }
}

test("the counts always add up, and say what there is", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      vi.clearAllTimers();
      const store = new SimulatedStore({
        makeCallback: async ({ owner }) => ({
          event: newEvent({ owner, kind: "callback", origin: "https://app.example.com", size: 2 }),
          body: new TextEncoder().encode("{}"),
        }),
      });
      store.owner = OWNER;
      const ids: string[] = [];
      let result = "good";
      store.deliver = async () => {
        await new Promise((done) => setTimeout(done, 20));
        return RESULTS[result]!;
      };
      const accept = async (change: Partial<NewEvent>) => {
        const event = newEvent({ ...change, schedule: [0, 2, 30] });
        const accepted = await store.accept(event);
        if ("id" in accepted) ids.push(accepted.id);
      };
      const row = (which: number) => store.store.events.byId(ids[which % ids.length] ?? "");
      for (const one of steps) {
        if (one.do === "accept") {
          await accept({
            lane: one.lane,
            dedupe: one.dedupe,
            kind: one.kind,
            callback: one.callback ? "sealed" : null,
          });
        } else if (one.do === "wait") await passes(one.ms);
        else if (one.do === "result") result = one.result;
        else if (one.do === "crash") store.crash();
        else if (one.do === "wake") {
          store.owner = OWNER;
          await store.engine.wake(true);
        } else {
          await store.change(() => {
            const now = Date.now();
            if (one.do === "sweep") {
              const { seq } = store.store.totals.get();
              store.store.sweeps.add({ act: one.act, filter: { state: one.state }, rate: 5 }, seq, now);
            } else if (one.do === "skip") {
              const turn = store.store.events.laneTurn(one.lane);
              if (turn !== undefined) endEvent(store.store, turn, { state: "dead", reason: "skipped" }, now);
            } else {
              const found = row(one.which);
              if (found === undefined) return;
              if (one.do === "purge") removeEvent(store.store, found, now);
              else replayEvent(store.store, found, now, { hurry: true });
            }
          });
        }
        expectTrue(store);
      }
      await passes(120_000);
      expectTrue(store);
    }),
    { numRuns: 300 },
  );
});
