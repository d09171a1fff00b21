import { expect, test } from "vitest";
import { type Arrival, type Attempt, judge, percentile, recoverySeconds, spread } from "./ledger.ts";

/** The judge of the fault suite must be able to find fault. */

const PUBLISHED = new Set(["203.0.113.10"]);

function attempt(changes: Partial<Attempt> = {}): Attempt {
  const answer = { node: "node-1", egress: "203.0.113.10", seen: "203.0.113.10" };
  return {
    id: "a",
    method: "POST",
    streamed: false,
    begun: 1_000,
    ms: 20,
    delayMs: 0,
    ...(changes.failure === undefined && { answer }),
    ...changes,
  };
}

function failed(reached: string, method: "GET" | "POST" = "POST"): Attempt {
  return attempt({ method, failure: { code: "node_unreachable", reached, detail: "" } });
}

const arrival: Arrival = { id: "a", method: "POST", from: "203.0.113.10", at: 1_010 };

test.each<[string, Attempt, readonly Arrival[], Record<string, number>]>([
  ["answered, came once", attempt(), [arrival], {}],
  ["answered, came twice", attempt(), [arrival, arrival], { postDoubled: 1 }],
  ["answered, never came", attempt(), [], { untruthful: 1 }],
  ["a GET came twice", attempt({ method: "GET" }), [arrival, arrival], {}],
  ["a GET failed", failed("no", "GET"), [], { getFailed: 1 }],
  ["failed, reached no, never came", failed("no"), [], { postFailed: 1 }],
  ["failed, reached no, came", failed("no"), [arrival], { postFailed: 1, untruthful: 1 }],
  ["failed, reached yes, came", failed("yes"), [arrival], { postFailed: 1 }],
  ["failed, reached yes, never came", failed("yes"), [], { postFailed: 1, untruthful: 1 }],
  ["failed, reached unknown, never came", failed("unknown"), [], { postFailed: 1 }],
  ["failed, reached unknown, came", failed("unknown"), [arrival], { postFailed: 1 }],
  ["failed, came twice", failed("unknown"), [arrival, arrival], { postFailed: 1, postDoubled: 1 }],
  ["failed by no word of the relay's", failed("untold"), [], { postFailed: 1, untruthful: 1 }],
  ["from an unlisted address", attempt(), [{ ...arrival, from: "203.0.113.99" }], { wrongAddress: 1 }],
  [
    "from another address than the answer says",
    attempt({ answer: { node: "node-1", egress: "203.0.113.10", seen: "203.0.113.20" } }),
    [arrival],
    { wrongAddress: 1 },
  ],
])("%s", (_, one, arrivals, expected) => {
  const { getFailed, postFailed, postDoubled, untruthful, wrongAddress } = judge([one], arrivals, PUBLISHED);
  const lists = { getFailed, postFailed, postDoubled, untruthful, wrongAddress };
  const counts = Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, list.length]));
  const none = { getFailed: 0, postFailed: 0, postDoubled: 0, untruthful: 0, wrongAddress: 0 };
  expect(counts).toEqual({ ...none, ...expected });
});

test.each<[string, readonly Attempt[], number]>([
  ["all prompt", [attempt({ begun: 1_500 })], 0],
  ["slow only as its target is", [attempt({ begun: 1_500, ms: 1_200, delayMs: 300 })], 0],
  [
    "slow until 2 s after the fault",
    [attempt({ begun: 1_500, ms: 3_000 }), attempt({ begun: 3_000, ms: 1_100 })],
    2,
  ],
  [
    "slow again once all was prompt for a while",
    [attempt({ begun: 1_500, ms: 3_000 }), attempt({ begun: 4_600, ms: 1_100 })],
    0.5,
  ],
  ["failed 4 s after the fault", [{ ...failed("no"), begun: 5_000 }], 4],
  [
    "slow before the fault and after its end",
    [attempt({ begun: 900, ms: 9_000 }), { ...failed("no"), begun: 9_001 }],
    0,
  ],
])("recovery: %s", (_, attempts, seconds) => {
  expect(recoverySeconds(attempts, 1_000, 9_000, { promptMs: 1_000, calmMs: 3_000 })).toBe(seconds);
});

test("the spread tells the share of the node that got the least", () => {
  const of = (node: string) => attempt({ answer: { node, egress: "", seen: "" } });
  const attempts = [of("node-1"), of("node-1"), of("node-1"), of("node-2"), failed("no")];
  expect(spread(attempts, 0, ["node-1", "node-2"])).toEqual({ least: 0.25, answered: 4 });
  expect(spread(attempts, 0, ["node-1", "node-3"])).toEqual({ least: 0, answered: 4 });
  expect(spread(attempts, 2_000, ["node-1"])).toEqual({ least: 0, answered: 0 });
});

test("the 99th percentile of a few is the highest", () => {
  expect(percentile([3, 1, 2], 0.99)).toBe(3);
  expect(percentile([], 0.99)).toBe(0);
});
