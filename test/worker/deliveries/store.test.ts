import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { DeliveryRow } from "../../../protocol/deliveries.ts";
import { isRelayError } from "../../../protocol/errors.ts";
import { acceptEvent } from "../../../worker/deliveries/engine/accept.ts";
import { removeEvent } from "../../../worker/deliveries/engine/change-state.ts";
import type { Before } from "../../../worker/deliveries/store/lists.ts";
import { listed } from "../../../worker/deliveries/store/event-row.ts";
import { rowBytes } from "../../../worker/deliveries/store/row-limit.ts";
import type { DeliveryFilter } from "../../../worker/deliveries/filter.ts";
import { BREAKERS_MAX, DELIVERY_CHUNK_BYTES, STAGED_MS, STORE_MAX_BYTES } from "../../../worker/limits.ts";
import { answered, newEvent, passes, SimulatedStore } from "../../support/simulated-store.ts";

const NOW = Date.UTC(2026, 0, 1);

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function bytesOf(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) % 256);
}

function stage(store: SimulatedStore, id: string, body: Uint8Array<ArrayBuffer>): boolean[] {
  const pieces = Array.from({ length: Math.ceil(body.length / DELIVERY_CHUNK_BYTES) }, (_, n) =>
    body.slice(n * DELIVERY_CHUNK_BYTES, (n + 1) * DELIVERY_CHUNK_BYTES),
  );
  return pieces.map((piece, n) => store.store.bodies.stage(id, n, piece, Date.now()));
}

const bodyOf = (store: SimulatedStore, id: string) =>
  Buffer.concat([...store.store.bodies.body(store.store.events.byId(id)!).chunks()]);

describe("a body", () => {
  test.for([0, 1, DELIVERY_CHUNK_BYTES, DELIVERY_CHUNK_BYTES + 1, 1_048_576])(
    "of %d bytes comes back as it was",
    async (size) => {
      const store = new SimulatedStore();
      const event = newEvent({ size });
      await store.accept(event, bytesOf(size));
      expect(bodyOf(store, event.id).equals(bytesOf(size))).toBe(true);
      // As often as is asked.
      expect(bodyOf(store, event.id)).toHaveLength(size);
    },
  );

  test("that was staged comes back as it was", () => {
    const store = new SimulatedStore();
    const body = bytesOf(3 * DELIVERY_CHUNK_BYTES + 17);
    const event = newEvent({ size: body.length });
    expect(stage(store, event.id, body)).toEqual([true, true, true, true]);
    expect(acceptEvent(store.store, event, null, { now: NOW, route: undefined }).status).toBe("stored");
    expect(bodyOf(store, event.id).equals(body)).toBe(true);
    // It belongs to its event: nothing takes it from there.
    store.store.bodies.abandon(event.id);
    expect(bodyOf(store, event.id)).toHaveLength(body.length);
  });

  test("that lacks a piece throws, rather than pass for a shorter one", async () => {
    const store = new SimulatedStore();
    const event = newEvent({ size: 1_000_000 });
    await store.accept(event, bytesOf(1_000_000));
    store.store.bodies.remove({ seq: 0, id: event.id });
    expect(() => bodyOf(store, event.id)).toThrow("piece 0");
  });

  test("that was staged in part is no event's", () => {
    const store = new SimulatedStore();
    const event = newEvent({ size: 300_000 });
    stage(store, event.id, bytesOf(200_000));
    expect(() => acceptEvent(store.store, event, null, { now: NOW, route: undefined })).toThrow("whole");
    expect(store.counts().accepted).toBe(0);
  });

  test("of another length than was said is refused", async () => {
    const store = new SimulatedStore();
    await expect(store.accept(newEvent({ size: 3 }), bytesOf(2))).rejects.toThrow("2 bytes");
    expect(store.counts().accepted).toBe(0);
  });

  test("is staged piece by piece, in order, each within its length", () => {
    const { bodies } = new SimulatedStore().store;
    expect(bodies.stage("a", 1, bytesOf(1), NOW)).toBe(false);
    expect(bodies.stage("a", 0, bytesOf(1), NOW)).toBe(true);
    expect(bodies.stage("a", 0, bytesOf(1), NOW)).toBe(false);
    expect(() => bodies.stage("a", 1, bytesOf(DELIVERY_CHUNK_BYTES + 1), NOW)).toThrow("too_large");
  });

  test("is refused where 32 are staged at once, and swept where it is not committed", async () => {
    const store = new SimulatedStore();
    const ids = Array.from({ length: 33 }, (_, n) => `upload-${n}`);
    await store.change(() => {
      const room = ids.map((id) => store.store.bodies.stage(id, 0, bytesOf(10), Date.now()));
      expect(room.indexOf(false)).toBe(32);
    });
    await passes(STAGED_MS - 1_000);
    expect(store.store.bodies.upload(ids[0]!)).toBeDefined();
    await passes(2_000);
    expect(ids.filter((id) => store.store.bodies.upload(id) !== undefined)).toEqual([]);
    expect(store.store.bodies.stage("next", 0, bytesOf(10), Date.now())).toBe(true);
    expect(store.store.bodies.stage(ids[0]!, 1, bytesOf(10), Date.now())).toBe(false);
  });
});

test("a row of more than the platform takes is refused by its type", () => {
  expect(rowBytes(["a", null, 1, new Uint8Array(1_999_000)])).toBeLessThanOrEqual(2_000_000);
  for (const large of [new Uint8Array(2_000_001), "x".repeat(2_000_001), "€".repeat(700_000)]) {
    let thrown: unknown;
    try {
      rowBytes([large]);
    } catch (error) {
      thrown = error;
    }
    expect(isRelayError(thrown) && thrown.code).toBe("too_large");
  }
});

describe("what comes again", () => {
  test("is one row and one delivery, a hundred times at once", async () => {
    const store = new SimulatedStore();
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => store.accept(newEvent({ dedupe: "evt_1" }))),
    );
    expect(answers.filter(({ status }) => status === "stored")).toHaveLength(1);
    expect(answers.filter(({ status }) => status === "duplicate")).toHaveLength(99);
    expect(new Set(answers.map((answer) => "id" in answer && answer.id)).size).toBe(1);
    await passes(60_000);
    expect(store.sent).toHaveLength(1);
    expect((await store.accept(newEvent({ dedupe: "evt_1" }))).status).toBe("duplicate");
  });

  test("makes a dead one pending again, with a fresh schedule", async () => {
    const store = new SimulatedStore();
    store.deliver = () => answered(500);
    const first = newEvent({ dedupe: "evt_1", schedule: [0, 1] });
    await store.accept(first);
    await passes(10_000);
    expect(store.detail(first.id)).toMatchObject({ state: "dead", spent: 2 });
    store.deliver = () => answered(200);
    expect(await store.accept(newEvent({ dedupe: "evt_1" }))).toEqual({ id: first.id, status: "revived" });
    expect(store.detail(first.id)).toMatchObject({ state: "pending", spent: 0, ended: null });
    await passes(1_000);
    expect(store.counts()).toEqual({ accepted: 1, delivered: 1, pending: 0, dead: 0, purged: 0 });
  });

  test("is a conflict where it has to be alike, and isn't", async () => {
    const store = new SimulatedStore();
    const event = newEvent({ dedupe: "key", likeness: "a" });
    await store.accept(event);
    expect(await store.accept(newEvent({ dedupe: "key", likeness: "a" }))).toMatchObject({
      status: "duplicate",
    });
    expect(await store.accept(newEvent({ dedupe: "key", likeness: "b" }))).toEqual({ status: "conflict" });
  });

  test("is known by its own id, too, and leaves nothing staged", async () => {
    const store = new SimulatedStore();
    const event = newEvent({ dedupe: "key" });
    await store.accept(event);
    expect(await store.accept(event)).toEqual({ id: event.id, status: "duplicate" });
    const again = newEvent({ dedupe: "key", size: 20 });
    stage(store, again.id, bytesOf(20));
    expect(acceptEvent(store.store, again, null, { now: NOW, route: undefined }).status).toBe("duplicate");
    expect(store.store.bodies.oldestUpload()).toBeUndefined();
  });
});

describe("a backlog", () => {
  test("is full where a route's share of it is, and takes what is known", async () => {
    const store = new SimulatedStore();
    store.owner = {
      route: {
        version: 1,
        record: {
          id: "stripe",
          client: "shop",
          target: "https://internal.example.com/",
          verifier: { type: "none" },
          limits: { pending: 16 },
        },
      },
      isThere: true,
      pause: { at: 0, by: null, reason: "maintenance" },
    };
    const first = newEvent({ dedupe: "first" });
    expect((await store.accept(first)).status).toBe("stored");
    expect((await store.accept(newEvent())).status).toBe("stored");
    expect(await store.accept(newEvent())).toEqual({ status: "backlog_full" });
    expect((await store.accept(newEvent({ dedupe: "first" }))).status).toBe("duplicate");
    expect((await store.accept(newEvent({ kind: "callback", origin: "https://a.example.com" }))).status).toBe(
      "stored",
    );
    expect(store.counts().accepted).toBe(3);
  });

  test("is full with so many bytes", async () => {
    const store = new SimulatedStore();
    await store.accept(newEvent());
    store.store.totals.move("pending", "pending", STORE_MAX_BYTES - 5_000);
    expect((await store.accept(newEvent({ size: 1_000 }), bytesOf(1_000))).status).toBe("stored");
    expect((await store.accept(newEvent({ size: 2_000 }), bytesOf(2_000))).status).toBe("backlog_full");
  });

  test("is one owner's", async () => {
    const store = new SimulatedStore();
    await store.accept(newEvent());
    await expect(store.accept(newEvent({ owner: "route:github" }))).rejects.toThrow("route:stripe");
  });
});

describe("a list", () => {
  test("goes page by page through all, by acceptance and id, whatever it is narrowed to", async () => {
    const store = new SimulatedStore();
    store.deliver = ({ method }) => answered(method === "DEAD" ? 410 : 200);
    for (let n = 0; n < 60; n++) {
      const lane = n % 5 === 0 ? "a" : null;
      const due = n % 3 === 2 ? 7_200 : 0;
      const method = n % 3 === 1 ? "DEAD" : "POST";
      const event = newEvent({
        lane,
        method,
        kind: "call",
        origin: "https://a.example.com",
        schedule: [due],
      });
      await store.accept(event);
      // Several in one millisecond.
      if (n % 7 === 0) await passes(1);
    }
    await passes(3_600_000);
    const all = store.store.lists.latest({}, null, 1_000).map((row) => listed(row, "route:stripe"));
    expect(all).toHaveLength(60);
    const from = all[40]!.accepted;
    const to = all[10]!.accepted;
    const filters: DeliveryFilter[] = [
      {},
      { state: "dead" },
      { state: "pending" },
      { state: "delivered" },
      { lane: "a" },
      { lane: "a", state: "pending" },
      { from, to },
      { from, to, state: "dead" },
    ];
    for (const filter of filters) {
      const expected = all
        .filter(
          (row) =>
            (filter.state ?? row.state) === row.state &&
            (filter.lane ?? row.lane) === row.lane &&
            row.accepted >= (filter.from ?? 0) &&
            row.accepted < (filter.to ?? Infinity),
        )
        .toSorted((a, b) => b.accepted - a.accepted || (a.id < b.id ? 1 : -1))
        .map(({ id }) => id);
      expect(expected.length).toBeGreaterThan(1);
      for (const limit of [1, 3, 100]) {
        const found: string[] = [];
        let before: Before | null = null;
        for (;;) {
          const page: readonly DeliveryRow[] = store.store.lists
            .latest(filter, before, limit)
            .map((row) => listed(row, "route:stripe"));
          found.push(...page.map(({ id }) => id));
          const last = page.at(-1);
          if (last === undefined) break;
          before = { accepted: last.accepted, id: last.id };
        }
        expect(found).toEqual(expected);
      }
    }
  });
});

describe("a sweep", () => {
  test("replays the dead of a time, at its rate, through a crash", async () => {
    const store = new SimulatedStore();
    store.deliver = () => ({ kind: "unreadable", detail: "it was changed" });
    const events = Array.from({ length: 30 }, () => newEvent());
    for (const event of events) {
      await store.accept(event);
      await passes(1_000);
    }
    expect(store.counts().dead).toBe(30);
    store.sent.length = 0;
    store.deliver = () => answered(200);
    const from = store.detail(events[10]!.id).accepted;
    const { seq } = store.store.totals.get();
    await store.change(() =>
      store.store.sweeps.add({ act: "replay", filter: { state: "dead", from }, rate: 2 }, seq, Date.now()),
    );
    await passes(3_500);
    expect(store.sent.length).toBeGreaterThanOrEqual(4);
    expect(store.sent.length).toBeLessThanOrEqual(8);
    store.crash();
    await passes(30_000);
    expect(store.counts()).toMatchObject({ delivered: 20, dead: 10, pending: 0 });
    expect(store.store.sweeps.next()).toBeUndefined();
  });

  test("purges what is pending, and leaves what came later", async () => {
    const store = new SimulatedStore();
    store.owner = new Error("no answer");
    for (let n = 0; n < 50; n++) await store.accept(newEvent({ size: 2 }), bytesOf(2));
    const { seq } = store.store.totals.get();
    await store.change(() =>
      store.store.sweeps.add({ act: "purge", filter: { state: "pending" }, rate: 100 }, seq, Date.now()),
    );
    await store.accept(newEvent());
    await passes(5_000);
    expect(store.counts()).toEqual({ accepted: 51, delivered: 0, pending: 1, dead: 0, purged: 50 });
  });
});

test("of targets that failed the latest are remembered, so many that a look can read them all", () => {
  const { breakers } = new SimulatedStore().store;
  const breaker = { failures: 1, probes: 0, probeAt: null };
  for (let n = 0; n < BREAKERS_MAX + 5; n++) breakers.set(`https://${n}.example.com`, breaker);
  breakers.set("https://5.example.com", { ...breaker, failures: 2 });
  breakers.set("https://new.example.com", breaker);
  expect(breakers.all().size).toBe(BREAKERS_MAX);
  expect(breakers.get("https://5.example.com")).toMatchObject({ failures: 2 });
  expect(breakers.get("https://6.example.com")).toBeUndefined();
  expect(breakers.get("https://7.example.com")).toBeDefined();
});

test("what is kept of attempts counts towards what a store holds", async () => {
  const store = new SimulatedStore();
  store.deliver = () => answered(500);
  const event = newEvent({ schedule: Array.from({ length: 20 }, () => 0) });
  await store.accept(event);
  const before = store.store.totals.get().bytes;
  await passes(36_000_000);
  const row = store.store.events.byId(event.id)!;
  expect(row).toMatchObject({ state: "dead", tries: 20 });
  const told = row.attempts.length + row.answer!.length;
  expect(told).toBeGreaterThan(2_000);
  // Two characters were there from the beginning: those of an empty list.
  expect(store.store.totals.get().bytes - before).toBe(told - 2);
  await store.change(() => removeEvent(store.store, row, Date.now()));
  expect(store.store.totals.get().bytes).toBe(0);
});
