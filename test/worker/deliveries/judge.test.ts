import { describe, expect, test } from "vitest";
import type { AttemptResult } from "../../../worker/deliveries/attempt-result.ts";
import { backoffMs, NO_BACKOFF, nextBackoff } from "../../../worker/deliveries/engine/backoff.ts";
import { type Breaker, nextBreaker } from "../../../worker/deliveries/engine/breaker.ts";
import { judge, type Judgement } from "../../../worker/deliveries/engine/judge.ts";
import { effectiveSchedule, nextDue } from "../../../worker/deliveries/engine/schedule.ts";
import { DELIVERY_SCHEDULE_SECONDS } from "../../../protocol/limits.ts";
import { answered, relayFault } from "../../support/simulated-store.ts";

const NOW = 1_000_000;
const schedule = [0, 5, 300];
const fails = (code: string): AttemptResult => ({
  kind: "failed",
  code,
  detail: "it says",
  node: null,
  egress: null,
});

interface Expected extends Pick<Judgement, "spends" | "target" | "relay"> {
  readonly state: string;
  readonly due?: number;
}

const cases: readonly [name: string, result: AttemptResult, spent: number, expected: Expected][] = [
  ["200", answered(200), 0, { state: "delivered", spends: true, target: "good", relay: "good" }],
  ["299", answered(299), 2, { state: "delivered", spends: true, target: "good", relay: "good" }],
  [
    "a redirect, which is never followed",
    answered(302),
    0,
    { state: "pending", due: 5_000, spends: true, target: "bad", relay: "good" },
  ],
  ["400", answered(400), 0, { state: "pending", due: 5_000, spends: true, target: "bad", relay: "good" }],
  [
    "500 again",
    answered(500),
    1,
    { state: "pending", due: 300_000, spends: true, target: "bad", relay: "good" },
  ],
  ["500 at the last", answered(500), 2, { state: "dead", spends: true, target: "bad", relay: "good" }],
  [
    "429 with Retry-After",
    answered(429, 60),
    0,
    { state: "pending", due: 60_000, spends: true, target: "bad", relay: "good" },
  ],
  [
    "503 with a Retry-After sooner than the schedule",
    answered(503, 60),
    1,
    { state: "pending", due: 300_000, spends: true, target: "bad", relay: "good" },
  ],
  [
    "503 with a Retry-After of a month",
    answered(503, 2_592_000),
    0,
    { state: "pending", due: 86_400_000, spends: true, target: "bad", relay: "good" },
  ],
  [
    "500 with Retry-After",
    answered(500, 60),
    0,
    { state: "pending", due: 5_000, spends: true, target: "bad", relay: "good" },
  ],
  [
    "no connection",
    fails("connect_refused"),
    0,
    { state: "pending", due: 5_000, spends: true, target: "bad", relay: "good" },
  ],
  [
    "a target that is not allowed",
    fails("target_not_allowed"),
    0,
    { state: "pending", due: 5_000, spends: true, target: null, relay: "good" },
  ],
  [
    "a refused address at the last",
    fails("address_refused"),
    2,
    { state: "dead", spends: true, target: null, relay: "good" },
  ],
  [
    "a fault of the relay's own",
    relayFault(),
    2,
    { state: "pending", due: 1_000, spends: false, target: null, relay: "fault" },
  ],
  [
    "a quota that is used up until its month ends, unless somebody raises it",
    { kind: "relay", code: "quota_exceeded", detail: "", retryAfter: 2_592_000, node: null, egress: null },
    0,
    { state: "pending", due: 30_000, spends: false, target: null, relay: "fault" },
  ],
  [
    "a client that is not there",
    { kind: "held", reason: "it was removed" },
    2,
    { state: "pending", due: 0, spends: false, target: null, relay: "held" },
  ],
  [
    "what can't be read",
    { kind: "unreadable", detail: "it was changed" },
    0,
    { state: "dead", spends: false, target: null, relay: "good" },
  ],
];

describe("a result decides what becomes of a delivery", () => {
  test.for(cases)("%s", ([, result, spent, { state, due, ...rest }]) => {
    const { fate, ...judged } = judge({ kind: "hook", spent, faults: 0 }, result, {
      now: NOW,
      random: 0.5,
      schedule,
    });
    expect(judged).toEqual({ ...rest, pause: null });
    expect(fate.state).toBe(state);
    expect(fate.state === "pending" ? fate.due - NOW : undefined).toBe(due);
  });

  test("410 pauses a route and spends nothing; a call's delivery is dead", () => {
    const circumstances = { now: NOW, random: 0.5, schedule };
    const hook = judge({ kind: "hook", spent: 2, faults: 0 }, answered(410), circumstances);
    expect(hook).toMatchObject({ fate: { state: "pending" }, spends: false, relay: "held" });
    expect(hook.pause).toContain("410");
    for (const kind of ["call", "callback"] as const) {
      const call = judge({ kind, spent: 0, faults: 0 }, answered(410), circumstances);
      expect(call).toMatchObject({ fate: { state: "dead" }, pause: null });
    }
  });

  test("one that meets the relay's faults alone waits longer each time", () => {
    const dues = [0, 1, 2, 5, 100].map((faults) => {
      const { fate } = judge({ kind: "hook", spent: 0, faults }, relayFault(), {
        now: 0,
        random: 0.5,
        schedule,
      });
      return fate.state === "pending" && fate.due;
    });
    expect(dues).toEqual([1_000, 2_000, 4_000, 30_000, 30_000]);
  });
});

test("a delay varies by a fifth", () => {
  const due = (random: number) => nextDue(300, { now: 0, random, retryAfter: null });
  expect([due(0), due(0.5), due(1)]).toEqual([240_000, 300_000, 360_000]);
});

test("an event's own schedule goes before its route's, and that before the usual", () => {
  expect(effectiveSchedule([1], { schedule: [2] })).toEqual([1]);
  expect(effectiveSchedule(null, { schedule: [2] })).toEqual([2]);
  expect(effectiveSchedule(null, {})).toBe(DELIVERY_SCHEDULE_SECONDS);
  expect(effectiveSchedule(null, undefined)).toBe(DELIVERY_SCHEDULE_SECONDS);
});

describe("a breaker", () => {
  const afterFailures = (count: number, at: (n: number) => number = () => 0): Breaker | undefined => {
    let breaker: Breaker | undefined;
    for (let n = 1; n <= count; n++) breaker = nextBreaker(breaker, "bad", at(n));
    return breaker;
  };

  test("opens with the tenth failure in a row", () => {
    expect(afterFailures(9)).toEqual({ failures: 9, probes: 0, probeAt: null });
    expect(afterFailures(10)).toEqual({ failures: 10, probes: 0, probeAt: 30_000 });
  });

  test("is forgotten with the first success", () => {
    expect(nextBreaker(afterFailures(9), "good", 0)).toBeUndefined();
    expect(nextBreaker(afterFailures(20), "good", 0)).toBeUndefined();
  });

  test("doubles the time between probes up to ten minutes", () => {
    let breaker = afterFailures(10);
    const waits: number[] = [];
    for (let probe = 0; probe < 7; probe++) {
      const at = breaker!.probeAt!;
      breaker = nextBreaker(breaker, "bad", at);
      waits.push(breaker!.probeAt! - at);
    }
    expect(waits).toEqual([60_000, 120_000, 240_000, 480_000, 600_000, 600_000, 600_000]);
  });

  test("takes for no probe what was under way when it opened", () => {
    expect(nextBreaker(afterFailures(10), "bad", 10_000)).toEqual({
      failures: 11,
      probes: 0,
      probeAt: 30_000,
    });
  });
});

describe("the relay's back-off", () => {
  test("doubles up to half a minute", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 1_000].map((faults) => backoffMs(faults))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  test("counts attempts that were under way together once", () => {
    const one = nextBackoff(NO_BACKOFF, { started: 0, now: 100, retryAfter: null });
    const two = nextBackoff(one, { started: 50, now: 150, retryAfter: null });
    expect([one.faults, two.faults]).toEqual([1, 1]);
    const three = nextBackoff(two, { started: 1_200, now: 1_300, retryAfter: null });
    expect(three).toEqual({ faults: 2, since: 1_300, until: 3_300 });
  });

  test("heeds what it is told, within its bounds", () => {
    expect(nextBackoff(NO_BACKOFF, { started: 0, now: 0, retryAfter: 7 }).until).toBe(7_000);
    expect(nextBackoff(NO_BACKOFF, { started: 0, now: 0, retryAfter: 7_000 }).until).toBe(30_000);
  });
});
