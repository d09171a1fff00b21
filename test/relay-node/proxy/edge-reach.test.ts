import { expect, test } from "vitest";
import { EdgeReach } from "../../../relay-node/proxy/edge-reach.ts";

test("an edge that answers may always be asked", () => {
  const reach = new EdgeReach();
  expect([reach.mayTry(0), reach.mayTry(0), reach.isLost]).toEqual([true, true, false]);
  expect(reach.found()).toBe(false);
});

test("a lost one may be asked once after each rest, until it answers", () => {
  const reach = new EdgeReach();
  expect([reach.lost(0), reach.isLost, reach.lost(0)]).toEqual([true, true, false]);
  expect([0, 999, 1_000, 1_001, 1_999, 2_000].map((now) => reach.mayTry(now))).toEqual([
    false,
    false,
    true,
    false,
    false,
    true,
  ]);
  reach.lost(2_500);
  expect([3_000, 3_500].map((now) => reach.mayTry(now))).toEqual([false, true]);
  expect([reach.found(), reach.isLost, reach.mayTry(3_501)]).toEqual([true, false, true]);
  expect(reach.lost(4_000)).toBe(true);
});

test("a clock that was set back makes no longer rest", () => {
  const reach = new EdgeReach();
  reach.lost(100_000);
  expect(reach.mayTry(50_000)).toBe(true);
});
