import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { answered, newEvent, passes, SimulatedStore } from "../../support/simulated-store.ts";

/** What people are woken by: lines of the edge's log. */

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
});
afterEach(() => {
  vi.useRealTimers();
});

const DAY_MS = 86_400_000;

test("what is given up is told, with its reason and whose it is", async () => {
  const store = new SimulatedStore();
  const event = newEvent({ schedule: [0, 1] });
  store.deliver = () => answered(500);
  await store.accept(event);
  await passes(10_000);
  expect(store.lines).toEqual([
    {
      decision: "delivery_dead",
      owner: event.owner,
      delivery: event.id,
      kind: "hook",
      reason: "the target answered 500",
    },
  ]);
});

test("a target that fails on and on is told once, and once that it is back", async () => {
  const store = new SimulatedStore();
  store.deliver = () => answered(500);
  for (let i = 0; i < 12; i++) await store.accept(newEvent());
  await passes(60_000);
  expect(store.lines).toEqual([
    { decision: "target_failing", owner: "route:stripe", target: null, failures: 10 },
  ]);
  store.deliver = () => answered(200);
  await passes(DAY_MS);
  expect(store.lines.slice(1)).toEqual([{ decision: "target_back", owner: "route:stripe", target: null }]);
});

test("that the edge pauses an owner is told", async () => {
  const store = new SimulatedStore();
  store.deliver = () => answered(410);
  await store.accept(newEvent());
  await passes(1_000);
  expect(store.lines[0]).toMatchObject({
    decision: "deliveries_paused",
    reason: expect.stringContaining("410"),
  });
});

test("an event in whose attempts the edge ended again and again is told, and nothing of what goes well", async () => {
  const store = new SimulatedStore();
  store.deliver = () => new Promise(() => {});
  await store.accept(newEvent());
  for (let i = 0; i < 10; i++) {
    await passes(40_000);
    store.crash();
  }
  expect(store.lines).toMatchObject([
    { decision: "delivery_dead", reason: expect.stringContaining("10 attempts in a row") },
  ]);
  const well = new SimulatedStore();
  await well.accept(newEvent());
  await passes(1_000);
  expect(well.lines).toEqual([]);
});
