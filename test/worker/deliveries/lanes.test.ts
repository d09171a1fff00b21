import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { endEvent, removeEvent } from "../../../worker/deliveries/engine/change-state.ts";
import { replayEvent } from "../../../worker/deliveries/engine/sweep.ts";
import { answered, newEvent, passes, relayFault, SimulatedStore } from "../../support/simulated-store.ts";

const SCHEDULE = [0, 5, 60];

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const inLane = (lane: string) => newEvent({ lane, schedule: SCHEDULE });

describe("a lane", () => {
  test("has one under way, and the next one waits for its end", async () => {
    const store = new SimulatedStore();
    let underWay = 0;
    let most = 0;
    store.deliver = async () => {
      most = Math.max(most, ++underWay);
      await new Promise((done) => setTimeout(done, 100));
      underWay--;
      return answered(200);
    };
    const events = Array.from({ length: 10 }, () => inLane("a"));
    for (const event of events) await store.accept(event);
    await passes(10_000);
    expect(most).toBe(1);
    expect(store.sent.map(({ event }) => event.id)).toEqual(events.map(({ id }) => id));
  });

  test("is blocked by one that fails until that is dead; other lanes go on", async () => {
    const store = new SimulatedStore();
    const [bad, behind, other] = [inLane("a"), inLane("a"), inLane("b")];
    store.deliver = ({ id }) => answered(id === bad.id ? 500 : 200);
    for (const event of [bad, behind, other]) await store.accept(event);
    await passes(30_000);
    expect(store.detail(other.id).state).toBe("delivered");
    expect(store.detail(behind.id)).toMatchObject({ state: "pending", due: null, attempts: [] });
    await passes(60_000);
    expect(store.detail(bad.id).state).toBe("dead");
    expect(store.detail(behind.id).state).toBe("delivered");
  });

  test("goes on behind several that one sweep purges", async () => {
    const store = new SimulatedStore();
    store.deliver = () => relayFault();
    await store.accept(inLane("a"));
    await store.accept(inLane("a"));
    const { seq } = store.store.totals.get();
    await store.accept(inLane("a"));
    await store.change(() =>
      store.store.sweeps.add({ act: "purge", filter: { state: "pending" }, rate: 10 }, seq, Date.now()),
    );
    await passes(2_000);
    expect(store.counts()).toMatchObject({ pending: 1, purged: 2 });
    store.deliver = () => answered(200);
    await passes(60_000);
    expect(store.counts()).toMatchObject({ delivered: 1, purged: 2 });
  });

  test("goes on where its first one is skipped, or purged", async () => {
    const store = new SimulatedStore();
    const events = [inLane("a"), inLane("a"), inLane("a")];
    store.deliver = () => relayFault();
    for (const event of events) await store.accept(event);
    await passes(1_000);
    await store.change(() => {
      const turn = store.store.events.laneTurn("a")!;
      expect(turn.id).toBe(events[0]!.id);
      endEvent(store.store, turn, { state: "dead", reason: "skipped" }, Date.now());
    });
    expect(store.store.events.laneTurn("a")!.id).toBe(events[1]!.id);
    await store.change(() => removeEvent(store.store, store.store.events.byId(events[1]!.id)!, Date.now()));
    expect(store.store.events.laneTurn("a")!.id).toBe(events[2]!.id);
    store.deliver = () => answered(200);
    await passes(60_000);
    expect(store.counts()).toEqual({ accepted: 3, delivered: 1, pending: 0, dead: 1, purged: 1 });
  });

  test("sends nothing more while one that was skipped is under way, which counts as delivered if it is", async () => {
    const store = new SimulatedStore();
    const [first, second] = [inLane("a"), inLane("a")];
    let answer = () => {};
    store.deliver = ({ id }) =>
      id === first.id ? new Promise((done) => (answer = () => done(answered(200)))) : answered(200);
    for (const event of [first, second]) await store.accept(event);
    await passes(1_000);
    await store.change(() =>
      endEvent(
        store.store,
        store.store.events.laneTurn("a")!,
        { state: "dead", reason: "skipped" },
        Date.now(),
      ),
    );
    await passes(5_000);
    expect(store.sent).toHaveLength(1);
    answer();
    await passes(1_000);
    expect(store.sent).toHaveLength(2);
    expect(store.counts()).toMatchObject({ delivered: 2, dead: 0 });
  });

  test("takes a dead one that is replayed without a second one under way", async () => {
    const store = new SimulatedStore();
    const [first, second, third] = [inLane("a"), inLane("a"), inLane("a")];
    store.deliver = ({ id }) => answered(id === first.id ? 500 : 200);
    await store.accept(first);
    await passes(120_000);
    expect(store.detail(first.id).state).toBe("dead");
    store.deliver = () => answered(500);
    for (const event of [second, third]) await store.accept(event);
    await passes(1_000);
    await store.change(() =>
      replayEvent(store.store, store.store.events.byId(first.id)!, Date.now(), { hurry: true }),
    );
    expect(store.detail(first.id)).toMatchObject({ state: "pending", due: null });
    store.deliver = () => answered(200);
    await passes(60_000);
    const order = store.sent.slice(-3).map(({ event }) => event.id);
    expect(order).toEqual([second.id, first.id, third.id]);
  });

  test("has one turn where one that was skipped and is replayed meanwhile fails after all", async () => {
    const store = new SimulatedStore();
    const [first, second] = [inLane("a"), inLane("a")];
    let end = () => {};
    store.deliver = ({ id }) =>
      id === first.id ? new Promise((done) => (end = () => done(answered(500)))) : relayFault();
    for (const event of [first, second]) await store.accept(event);
    await passes(1_000);
    await store.change(() => {
      const row = store.store.events.laneTurn("a")!;
      endEvent(store.store, row, { state: "dead", reason: "skipped" }, Date.now());
      replayEvent(store.store, store.store.events.byId(first.id)!, Date.now(), { hurry: true });
    });
    end();
    await passes(20);
    const turns = store.rows().filter(({ state, moment }) => state === "pending" && moment !== null);
    expect(turns.map(({ id }) => id)).toEqual([second.id]);
    store.deliver = () => answered(200);
    await passes(60_000);
    expect(store.counts()).toMatchObject({ delivered: 2, pending: 0 });
  });
});

test("no lane is ever out of order, through failures of every kind and crashes at any point", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          lane: fc.constantFrom("a", "b", "c", null),
          outcomes: fc.array(fc.constantFrom("500", "relay", "hang"), { maxLength: 4 }),
          pauseMs: fc.integer({ min: 0, max: 3_000 }),
          crashes: fc.boolean(),
        }),
        { minLength: 1, maxLength: 25 },
      ),
      async (steps) => {
        vi.clearAllTimers();
        const store = new SimulatedStore();
        const outcomes = new Map<string, string[]>();
        const lanes = new Map<string, string[]>();
        const first = new Map<string, number>();
        store.deliver = async ({ id }) => {
          if (!first.has(id)) first.set(id, store.sent.length);
          await new Promise((done) => setTimeout(done, 150));
          const outcome = outcomes.get(id)!.shift();
          if (outcome === "hang") return new Promise(() => {});
          return outcome === undefined ? answered(200) : outcome === "relay" ? relayFault() : answered(500);
        };
        for (const { lane, outcomes: own, pauseMs, crashes } of steps) {
          const event = newEvent({ lane, schedule: [0, 1, 5] });
          outcomes.set(event.id, [...own]);
          if (lane !== null) lanes.set(lane, [...(lanes.get(lane) ?? []), event.id]);
          await store.accept(event);
          await passes(pauseMs);
          if (crashes) store.crash();
        }
        for (let n = 0; n < 20 && store.counts().pending > 0; n++) {
          await passes(60_000);
          store.crash();
        }
        expect(store.counts().pending).toBe(0);
        for (const ids of lanes.values()) {
          // An event is sent for the first time after all attempts of those before it.
          const sent = store.sent.map(({ event }) => event.id).filter((id) => ids.includes(id));
          const collapsed = sent.filter((id, i) => id !== sent[i - 1]);
          expect(collapsed).toEqual(ids);
        }
      },
    ),
    { numRuns: 60 },
  );
});
