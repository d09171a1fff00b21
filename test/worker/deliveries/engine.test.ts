import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { endEvent } from "../../../worker/deliveries/engine/change-state.ts";
import type { DeliveryOwner } from "../../../worker/deliveries/owner.ts";
import type { StoredEvent } from "../../../worker/deliveries/event.ts";
import type { RouteRecord } from "../../../worker/routes.ts";
import { answered, newEvent, passes, relayFault, SimulatedStore } from "../../support/simulated-store.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const routeWith = (change: Partial<RouteRecord>): DeliveryOwner => ({
  route: {
    version: 1,
    record: {
      id: "stripe",
      client: "shop",
      target: "https://internal.example.com/",
      verifier: { type: "none" },
      ...change,
    },
  },
  isThere: true,
  pause: null,
});

async function acceptMany(store: SimulatedStore, count: number): Promise<string[]> {
  const events = Array.from({ length: count }, () => newEvent());
  for (const event of events) await store.accept(event);
  return events.map(({ id }) => id);
}

test("what is accepted is delivered, once", async () => {
  const store = new SimulatedStore();
  const event = newEvent({ size: 5 });
  const bodies: Uint8Array[] = [];
  store.deliver = (_event, body) => {
    bodies.push(...body.chunks());
    return answered(204);
  };
  expect(await store.accept(event, new TextEncoder().encode("hello"))).toEqual({
    id: event.id,
    status: "stored",
  });
  expect(store.sent).toEqual([]);
  await passes(1_000);
  expect(store.sent).toMatchObject([{ event: { id: event.id, attempt: 1, request: "sealed" } }]);
  expect(Buffer.concat(bodies).toString()).toBe("hello");
  expect(store.counts()).toEqual({ accepted: 1, delivered: 1, pending: 0, dead: 0, purged: 0 });
  expect(store.detail(event.id)).toMatchObject({
    state: "delivered",
    spent: 1,
    due: null,
    attempts: [{ n: 1, result: "answered", status: 204, node: "node-1" }],
    answer: { status: 204 },
  });
  await passes(HOUR_MS);
  expect(store.sent).toHaveLength(1);
});

test("an attempt is written down, and that is kept for good, before it is sent", async () => {
  const order: string[] = [];
  const store = new SimulatedStore({
    sync: async () => {
      order.push(`sync ${store.store.totals.underWay().length}`);
    },
  });
  store.deliver = () => {
    order.push("sent");
    return answered(200);
  };
  await acceptMany(store, 3);
  await passes(1_000);
  expect(order).toEqual(["sync 3", "sent", "sent", "sent"]);
});

test("while it can't be kept for good nothing is sent", async () => {
  let fails = true;
  const store = new SimulatedStore({
    sync: async () => {
      if (fails) throw new Error("no disk");
    },
  });
  await acceptMany(store, 1);
  await passes(10_000);
  expect(store.sent).toEqual([]);
  fails = false;
  await passes(10_000);
  expect(store.sent).toHaveLength(1);
});

test("ten attempts by the schedule, and then it is dead", async () => {
  const store = new SimulatedStore();
  store.deliver = () => answered(500);
  const [id] = await acceptMany(store, 1);
  await passes(10 * DAY_MS);
  const times = store.sent.map(({ at }) => at);
  const waits = times.slice(1).map((at, i) => Math.floor((at - times[i]!) / 1_000));
  expect(waits).toEqual([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
  expect(store.detail(id!)).toMatchObject({ state: "dead", spent: 10, reason: "the target answered 500" });
  expect(store.detail(id!).attempts.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(store.counts()).toEqual({ accepted: 1, delivered: 0, pending: 0, dead: 1, purged: 0 });
});

test("all nodes down for six hours: nothing is dead and nothing spent; then all is delivered, at a bounded rate", async () => {
  const store = new SimulatedStore();
  store.deliver = () => relayFault();
  const ids = await acceptMany(store, 1_000);
  await passes(6 * HOUR_MS);
  expect(store.counts()).toMatchObject({ pending: 1_000, dead: 0 });
  expect(ids.every((id) => store.detail(id).spent === 0)).toBe(true);
  // One finds out for all.
  expect(store.sent.length).toBeLessThan(6 * 120 + 20);

  store.sent.length = 0;
  const back = Date.now();
  store.deliver = () => answered(200);
  await passes(MINUTE_MS);
  expect(store.counts()).toEqual({ accepted: 1_000, delivered: 1_000, pending: 0, dead: 0, purged: 0 });
  expect(store.sent).toHaveLength(1_000);
  const perSecond = new Map<number, number>();
  for (const { at } of store.sent) {
    const second = Math.floor((at - back) / 1_000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(50 + 6);
  expect(Math.min(...[...perSecond.values()].slice(1, -1))).toBeGreaterThanOrEqual(45);
});

test("a route's own rate holds", async () => {
  const store = new SimulatedStore();
  store.owner = routeWith({ limits: { deliveriesPerSecond: 8 } });
  await acceptMany(store, 60);
  await passes(30_500);
  expect(store.sent.length).toBeGreaterThanOrEqual(30);
  expect(store.sent.length).toBeLessThanOrEqual(32);
});

test("a rate of next to nothing, and a part of a day's keeping, set alarms that there are", async () => {
  const store = new SimulatedStore();
  store.owner = routeWith({ limits: { deliveriesPerSecond: 1e-300 }, retention: { deliveredDays: 1 / 7 } });
  const alarms: number[] = [];
  const set = store.parts.setAlarm;
  store.parts.setAlarm = async (at) => {
    alarms.push(at - Date.now());
    await set(at);
  };
  await acceptMany(store, 2);
  await passes(5_000);
  await acceptMany(store, 1);
  expect(store.counts()).toMatchObject({ delivered: 1, pending: 2 });
  await passes(DAY_MS);
  expect(store.counts()).toMatchObject({ purged: 1, pending: 2 });
  expect(alarms.every((wait) => Number.isSafeInteger(wait) && wait <= 30 * DAY_MS)).toBe(true);
});

test("a route's own rate is used while an attempt takes long", async () => {
  const store = new SimulatedStore();
  store.owner = routeWith({ limits: { deliveriesPerSecond: 8 } });
  store.deliver = async () => {
    await new Promise((done) => setTimeout(done, 12_000));
    return answered(200);
  };
  await acceptMany(store, 5);
  await passes(6_000);
  expect(store.sent).toHaveLength(5);
});

test("no more are under way than five, or than a route says", async () => {
  for (const [concurrent, most] of [
    [undefined, 5],
    [16, 2],
    [1, 1],
  ] as const) {
    const store = new SimulatedStore();
    store.owner = routeWith({ limits: { concurrent } });
    let underWay = 0;
    let seen = 0;
    store.deliver = async () => {
      seen = Math.max(seen, ++underWay);
      await new Promise((done) => setTimeout(done, 500));
      underWay--;
      return answered(200);
    };
    await acceptMany(store, 20);
    await passes(MINUTE_MS);
    expect(seen).toBe(most);
    expect(store.counts().delivered).toBe(20);
  }
});

test("a store whose slots are full waits for an attempt to end", async () => {
  const looks = vi.fn<() => void>();
  const store = new SimulatedStore({
    now: () => {
      looks();
      return Date.now();
    },
  });
  store.deliver = async () => {
    await new Promise((done) => setTimeout(done, 10_000));
    return answered(200);
  };
  await acceptMany(store, 100);
  await passes(100);
  looks.mockClear();
  await passes(9_000);
  expect(looks.mock.calls.length).toBeLessThan(10);
});

describe("the registry's word", () => {
  test("nothing is sent without it, and nothing spent", async () => {
    const store = new SimulatedStore();
    store.owner = new Error("no answer");
    const [id] = await acceptMany(store, 1);
    await passes(HOUR_MS);
    expect(store.sent).toEqual([]);
    expect(store.detail(id!)).toMatchObject({ state: "pending", spent: 0, attempts: [] });
    store.owner = routeWith({});
    await passes(MINUTE_MS);
    expect(store.counts().delivered).toBe(1);
  });

  test("a pause keeps accepting and sends nothing, until it is taken back", async () => {
    const store = new SimulatedStore();
    store.owner = { ...routeWith({}), pause: { at: 0, by: "operator", reason: "maintenance" } };
    await acceptMany(store, 3);
    await passes(DAY_MS);
    expect(store.sent).toEqual([]);
    expect(store.counts()).toMatchObject({ accepted: 3, pending: 3 });
    store.owner = routeWith({});
    await store.engine.wake(true);
    await passes(1_000);
    expect(store.counts().delivered).toBe(3);
  });

  test("a pause that is taken back while something else is done holds nothing any more", async () => {
    const pause = { at: 0, by: "op", reason: "no" };
    let goOn = () => {};
    const store = new SimulatedStore({
      makeCallback: () => new Promise((done) => (goOn = () => done(null))),
    });
    store.owner = { ...routeWith({}), pause };
    const [ended, waiting] = [newEvent({ callback: "sealed" }), newEvent()];
    for (const event of [ended, waiting]) await store.accept(event);
    await passes(1_000);
    await store.change(() => {
      const row = store.store.events.byId(ended.id)!;
      endEvent(store.store, row, { state: "dead", reason: "skipped" }, Date.now());
    });
    await passes(1_000);
    store.owner = routeWith({});
    await store.engine.wake(true);
    goOn();
    await passes(1_000);
    expect(store.detail(waiting.id).state).toBe("delivered");
  });

  test("an owner that is not there gets nothing sent", async () => {
    const store = new SimulatedStore();
    store.owner = { route: null, isThere: false, pause: null };
    await acceptMany(store, 1);
    await passes(DAY_MS);
    expect(store.sent).toEqual([]);
  });

  test("it is remembered for ten seconds, and forgotten by wake", async () => {
    const owner = vi.fn<() => Promise<DeliveryOwner>>().mockResolvedValue(routeWith({}));
    const store = new SimulatedStore({ owner });
    for (let second = 0; second < 9; second++) {
      await acceptMany(store, 1);
      await passes(1_000);
    }
    expect(owner).toHaveBeenCalledTimes(1);
    await store.engine.wake(true);
    await acceptMany(store, 1);
    await passes(1_000);
    expect(owner).toHaveBeenCalledTimes(2);
    await passes(20_000);
    await acceptMany(store, 1);
    await passes(1_000);
    expect(owner).toHaveBeenCalledTimes(3);
  });

  test("a 410 pauses the route; the event waits, and is tried again when that is taken back", async () => {
    const store = new SimulatedStore();
    store.deliver = () => answered(410);
    const [id] = await acceptMany(store, 5);
    await passes(DAY_MS);
    expect(new Set(store.pauses)).toEqual(new Set([expect.stringContaining("410")]));
    expect(store.detail(id!)).toMatchObject({ state: "pending", spent: 0 });
    expect(store.sent.length).toBeLessThanOrEqual(6);
    store.owner = routeWith({});
    store.deliver = () => answered(200);
    await store.engine.wake(true);
    await passes(1_000);
    expect(store.counts()).toMatchObject({ delivered: 5, pending: 0 });
  });
});

describe("a failing target", () => {
  const call = (origin: string) => newEvent({ owner: "client:shop", kind: "call", origin });

  test("is probed by one event at a time, and others are not held up", async () => {
    const store = new SimulatedStore();
    const down = "https://down.example.com";
    const up = "https://up.example.com";
    let underWay = 0;
    let most = 0;
    store.deliver = async ({ origin }) => {
      if (origin === up) return answered(200);
      most = Math.max(most, ++underWay);
      await new Promise((done) => setTimeout(done, 1_000));
      underWay--;
      return answered(500);
    };
    for (let n = 0; n < 30; n++) await store.accept(call(down));
    await passes(10_000);
    expect(store.store.breakers.get(down)?.probeAt).toBeGreaterThan(Date.now());
    // A change of the client's record says nothing of the target.
    await store.engine.wake(false);
    expect(store.store.breakers.get(down)?.probeAt).toBeGreaterThan(Date.now());
    const before = store.sent.length;
    most = 0;
    underWay = 0;
    for (let n = 0; n < 30; n++) await store.accept(call(up));
    await passes(5_000);
    expect(store.counts().delivered).toBe(30);
    await passes(10 * MINUTE_MS);
    expect(most).toBe(1);
    // After 30 s, 1, 2, 4 and 8 minutes.
    const probes = store.sent.slice(before).filter(({ event }) => event.origin === down);
    expect(probes.length).toBeGreaterThanOrEqual(4);
    expect(probes.length).toBeLessThanOrEqual(5);
    // Those that it held spent nothing.
    const spent = store.rows().reduce((sum, row) => sum + row.spent, 0);
    expect(spent).toBe(store.sent.length);

    store.deliver = () => answered(200);
    await passes(HOUR_MS);
    expect(store.counts()).toMatchObject({ delivered: 60, pending: 0, dead: 0 });
  });

  test("what it holds says so, and when the target is tried", async () => {
    const store = new SimulatedStore();
    store.deliver = () => answered(500);
    const ids = await acceptMany(store, 40);
    await passes(20_000);
    const details = ids.map((id) => store.store.detail(store.store.events.byId(id)!));
    const held = details.find(({ spent }) => spent === 0)!;
    expect(held.due).toBeGreaterThan(Date.now());
    expect(held.reason).toMatch(/^its target failed \d+ times in a row/);
    const tried = details.find(({ spent }) => spent > 0)!;
    expect(tried.reason).toMatch(/^the target answered 500; its target failed/);
    store.deliver = () => answered(200);
    await store.engine.wake(true);
    await passes(HOUR_MS);
    expect(store.store.detail(store.store.events.byId(held.id)!)).toMatchObject({ due: null, reason: null });
  });

  test("a wake tries it at once", async () => {
    const store = new SimulatedStore();
    store.deliver = () => answered(500);
    await acceptMany(store, 40);
    await passes(20_000);
    const before = store.sent.length;
    store.deliver = () => answered(200);
    await store.engine.wake(true);
    await passes(2_000);
    expect(store.sent.length).toBeGreaterThan(before + 10);
  });
});

describe("crashes", () => {
  test("what was under way is interrupted, spends nothing and goes again at once", async () => {
    const store = new SimulatedStore();
    store.deliver = () => new Promise(() => {});
    const [id] = await acceptMany(store, 1);
    await passes(1_000);
    expect(store.detail(id!).attempts).toMatchObject([{ n: 1, ended: null, result: null }]);
    store.crash();
    store.deliver = () => answered(200);
    await passes(1_000);
    expect(store.detail(id!)).toMatchObject({
      state: "delivered",
      spent: 1,
      attempts: [
        { n: 1, ended: null, result: "interrupted" },
        { n: 2, result: "answered" },
      ],
    });
  });

  test("an event that ends the edge each time is dead after ten; those that were under way with it are delivered", async () => {
    const store = new SimulatedStore();
    const poison = newEvent();
    store.deliver = ({ id }) => (id === poison.id ? new Promise(() => {}) : answered(200));
    await store.accept(poison);
    const others = await acceptMany(store, 20);
    // All that are sent together end with it.
    const innocent = store.deliver;
    let crashes = 0;
    store.deliver = async (event: StoredEvent, body) => {
      if (event.id === poison.id) return new Promise(() => {});
      await new Promise((done) => setTimeout(done, 200));
      return innocent(event, body);
    };
    while (store.detail(poison.id).state === "pending" && crashes < 50) {
      await passes(100);
      const isUnderWay = store.store.totals
        .underWay()
        .some(({ seq }) => store.store.events.get(seq)?.id === poison.id);
      if (isUnderWay) {
        crashes++;
        store.crash();
      }
    }
    expect(crashes).toBe(10);
    expect(store.detail(poison.id)).toMatchObject({ state: "dead", spent: 0 });
    await passes(10_000);
    expect(others.map((id) => store.detail(id).state)).toEqual(others.map(() => "delivered"));
  });

  test("interruptions that are not in a row don't count", async () => {
    const store = new SimulatedStore();
    const [id] = await acceptMany(store, 1);
    store.owner = routeWith({ schedule: Array.from({ length: 50 }, () => 1) });
    for (let round = 0; round < 5; round++) {
      store.deliver = () => new Promise(() => {});
      for (let crash = 0; crash < 3; crash++) {
        await passes(2_000);
        store.crash();
      }
      store.deliver = () => answered(500);
      await passes(4_000);
    }
    expect(store.detail(id!).state).toBe("pending");
  });

  test("an event that may end the edge waits longer each time, and others go meanwhile", async () => {
    const store = new SimulatedStore();
    store.deliver = () => new Promise(() => {});
    const [suspect] = await acceptMany(store, 1);
    const waited: number[] = [];
    for (let crash = 0; crash < 5; crash++) {
      const sent = () => store.sent.filter(({ event }) => event.id === suspect).length;
      const [before, from] = [sent(), Date.now()];
      while (sent() === before) await passes(100);
      waited.push(Date.now() - from);
      store.crash();
    }
    expect(waited.map((ms) => Math.round(ms / 1_000))).toEqual([0, 0, 1, 2, 4]);
    store.deliver = () => answered(200);
    const [other] = await acceptMany(store, 1);
    await passes(500);
    expect(store.detail(other!).state).toBe("delivered");
    expect(store.detail(suspect!).state).toBe("pending");
  });

  test("an alarm that was lost is set again", async () => {
    const store = new SimulatedStore();
    await acceptMany(store, 1);
    store.loseAlarm();
    await passes(HOUR_MS);
    expect(store.sent).toEqual([]);
    await store.engine.rearm();
    await passes(1_000);
    expect(store.sent).toHaveLength(1);
  });

  test("the next event sets it again, too", async () => {
    const store = new SimulatedStore();
    await acceptMany(store, 1);
    store.loseAlarm();
    await passes(MINUTE_MS);
    await acceptMany(store, 1);
    await passes(1_000);
    expect(store.counts().delivered).toBe(2);
  });

  test("what is begun anew sets it again", async () => {
    const store = new SimulatedStore();
    await acceptMany(store, 1);
    store.loseAlarm();
    store.crash();
    await passes(1_000);
    expect(store.counts().delivered).toBe(1);
  });
});

describe("what can fail within", () => {
  test("the handler fails ten times in a row and goes on delivering", async () => {
    let failures = 0;
    const store: SimulatedStore = new SimulatedStore({
      sync: async () => {
        if (failures++ < 10) throw new Error("no disk");
      },
    });
    await acceptMany(store, 3);
    await passes(MINUTE_MS);
    expect(failures).toBeGreaterThan(10);
    expect(store.counts().delivered).toBe(3);
  });

  test("what else there is to do can't be done, and deliveries are made", async () => {
    const store = new SimulatedStore();
    await store.change(() =>
      store.store.sweeps.add({ act: "replay", filter: { state: "dead" }, rate: 1 }, 2 ** 52, Date.now()),
    );
    vi.spyOn(store.store.lists, "window").mockImplementation(() => {
      throw new Error("no window");
    });
    await acceptMany(store, 3);
    await passes(MINUTE_MS);
    expect(store.counts().delivered).toBe(3);
  });

  test("a sweep that is all but endless stops nothing", async () => {
    const store = new SimulatedStore();
    store.deliver = () => answered(410);
    const events = Array.from({ length: 3 }, () => newEvent({ kind: "call", origin: "https://a.example" }));
    for (const event of events) await store.accept(event);
    await passes(1_000);
    store.deliver = () => answered(200);
    await store.change(() =>
      // A wait that no column takes.
      store.store.sweeps.add({ act: "replay", filter: { state: "dead" }, rate: 1e-300 }, 2 ** 52, Date.now()),
    );
    await acceptMany(store, 3);
    await passes(MINUTE_MS);
    expect(store.counts()).toMatchObject({ delivered: 4, dead: 2 });
    await passes(2 * HOUR_MS);
    expect(store.counts()).toMatchObject({ delivered: 6, dead: 0 });
  });

  test("so it does where its alarm can't be set", async () => {
    let failures = 0;
    const store = new SimulatedStore();
    const set = store.parts.setAlarm;
    store.parts.setAlarm = async (at) => {
      if (store.sent.length > 0 && failures++ < 10) throw new Error("no alarm");
      await set(at);
    };
    await acceptMany(store, 1);
    await passes(1_000);
    for (let n = 0; n < 11; n++) {
      await store.accept(newEvent()).catch(() => {});
      await passes(1_000);
    }
    expect(store.counts()).toMatchObject({ pending: 0 });
  });

  test("a sender that throws spends nothing", async () => {
    const store = new SimulatedStore();
    store.deliver = () => {
      throw new Error("a mistake");
    };
    const [id] = await acceptMany(store, 1);
    await passes(HOUR_MS);
    expect(store.detail(id!)).toMatchObject({ state: "pending", spent: 0 });
    expect(store.detail(id!).attempts.at(-1)).toMatchObject({ result: "relay", code: "edge_internal" });
  });

  test("a sender that never answers holds its slot for a minute", async () => {
    const store = new SimulatedStore();
    const [id] = await acceptMany(store, 1);
    store.deliver = () => new Promise(() => {});
    await passes(MINUTE_MS + 500);
    expect(store.detail(id!).attempts).toMatchObject([{ result: "relay" }]);
    store.deliver = () => answered(200);
    await passes(10_000);
    expect(store.detail(id!).state).toBe("delivered");
  });

  test("an event whose request is gone is dead, and others go on", async () => {
    const store = new SimulatedStore();
    const [id] = await acceptMany(store, 3);
    store.store.bodies.remove(store.store.events.byId(id!)!);
    await passes(1_000);
    expect(store.detail(id!)).toMatchObject({
      state: "dead",
      reason: expect.stringContaining("can't be read"),
    });
    expect(store.counts()).toMatchObject({ delivered: 2, dead: 1 });
  });

  test("what is stored of attempts in no form that can be read stops nothing", async () => {
    const store = new SimulatedStore();
    const [id] = await acceptMany(store, 1);
    store.store.events.change(store.store.events.byId(id!)!, { attempts: "{" });
    await passes(1_000);
    expect(store.detail(id!)).toMatchObject({ state: "delivered", attempts: [{ n: 1 }] });
  });
});

test("the latest twenty attempts are kept", async () => {
  const store = new SimulatedStore();
  store.deliver = () => relayFault();
  const [id] = await acceptMany(store, 1);
  await passes(HOUR_MS);
  const { attempts } = store.detail(id!);
  expect(attempts).toHaveLength(20);
  expect(attempts.at(-1)!.n).toBeGreaterThan(100);
});

test("what has ended is kept for as long as its route says", async () => {
  const store = new SimulatedStore();
  store.owner = routeWith({ retention: { deliveredDays: 1, deadDays: 3 }, schedule: [0] });
  const dead = newEvent();
  store.deliver = ({ id }) => answered(id === dead.id ? 500 : 200);
  await store.accept(dead);
  const delivered = await acceptMany(store, 500);
  await passes(20 * HOUR_MS);
  expect(store.counts()).toEqual({ accepted: 501, delivered: 500, pending: 0, dead: 1, purged: 0 });
  await passes(5 * HOUR_MS);
  expect(store.counts()).toEqual({ accepted: 501, delivered: 0, pending: 0, dead: 1, purged: 500 });
  expect(store.store.bodies.contents(store.rows()[0]!.seq)).toBeDefined();
  expect(store.store.events.byId(delivered[0]!)).toBeUndefined();
  await passes(3 * DAY_MS);
  expect(store.counts()).toEqual({ accepted: 501, delivered: 0, pending: 0, dead: 0, purged: 501 });
  expect(store.store.totals.get().bytes).toBe(0);
  // Nothing is left to be done.
  await passes(DAY_MS);
  expect(store.alarmAt).toBeUndefined();
});

describe("the outcome is told to whoever wants to know", () => {
  test("once, of what was delivered and of what is dead", async () => {
    const store = new SimulatedStore();
    const good = newEvent({ callback: "sealed" });
    const bad = newEvent({ callback: "sealed", schedule: [0, 1] });
    store.deliver = ({ id }) => answered(id === bad.id ? 500 : 200);
    for (const event of [good, bad, newEvent()]) await store.accept(event);
    await passes(MINUTE_MS);
    expect(store.told.map(({ event, state }) => [event.id, state])).toEqual([
      [good.id, "delivered"],
      [bad.id, "dead"],
    ]);
  });

  test("by an event of its own, kept with the word that it is made; also after a crash before that", async () => {
    const callback = newEvent({ kind: "callback", origin: "https://app.example.com", size: 2 });
    let made = 0;
    const store = new SimulatedStore({
      makeCallback: async () => {
        made++;
        if (made === 1) throw new Error("no key");
        return { event: callback, body: new TextEncoder().encode("{}") };
      },
    });
    await store.accept(newEvent({ callback: "sealed" }));
    await passes(1_000);
    expect(store.counts()).toMatchObject({ accepted: 1, delivered: 1 });
    store.crash();
    await passes(MINUTE_MS);
    expect(made).toBe(2);
    expect(store.sent.map(({ event }) => event.kind)).toEqual(["hook", "callback"]);
    expect(store.counts()).toMatchObject({ accepted: 2, delivered: 2 });
  });

  test("one that can't be told yet keeps no other from being told", async () => {
    const told: string[] = [];
    const events = Array.from({ length: 60 }, () => newEvent({ callback: "sealed" }));
    const stuck = new Set(events.slice(0, 50).map(({ id }) => id));
    const store = new SimulatedStore({
      makeCallback: async ({ id }) => {
        if (stuck.has(id)) throw new Error("no key");
        told.push(id);
        return null;
      },
    });
    for (const event of events) await store.accept(event);
    await passes(10 * MINUTE_MS);
    expect(new Set(told)).toEqual(new Set(events.slice(50).map(({ id }) => id)));
    stuck.clear();
    await passes(10 * MINUTE_MS);
    expect(told).toHaveLength(60);
  });

  test("what can't be told is kept, and keeps nothing else", async () => {
    const store = new SimulatedStore({
      makeCallback: async () => {
        throw new Error("no key");
      },
    });
    store.owner = routeWith({ retention: { deliveredDays: 0.01 } });
    for (let n = 0; n < 250; n++) await store.accept(newEvent({ callback: "sealed" }));
    await passes(MINUTE_MS);
    for (let n = 0; n < 10; n++) await store.accept(newEvent());
    await passes(HOUR_MS);
    expect(store.counts()).toMatchObject({ delivered: 250, purged: 10 });
  });
});
