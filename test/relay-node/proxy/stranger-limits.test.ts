import { describe, expect, test } from "vitest";
import type { RelayError } from "../../../protocol/errors.ts";
import { StrangerLimits } from "../../../relay-node/proxy/stranger-limits.ts";

const SIZES = { each: { rate: 1, burst: 3 }, all: { rate: 2, burst: 5 }, senders: 4 };

/** Undefined: it went through; else how many seconds it is to wait. */
function wait(act: () => void): number | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    expect((error as RelayError).code).toBe("rate_limited");
    return (error as RelayError).retryAfter;
  }
}

const payments = (limits: StrangerLimits, senders: string, now = 0) =>
  Array.from(senders).map((sender) => wait(() => limits.pay(sender, now)));

describe("unknown credentials", () => {
  test("from one sender have a burst, and then so many a second", () => {
    const limits = new StrangerLimits(0, SIZES);
    expect(payments(limits, "aaaa")).toEqual([undefined, undefined, undefined, 1]);
    expect(payments(limits, "aa", 999)).toEqual([1, 1]);
    expect(payments(limits, "aa", 1_000)).toEqual([undefined, 1]);
  });

  test("from all senders together have another", () => {
    const limits = new StrangerLimits(0, SIZES);
    expect(payments(limits, "aabbccc")).toEqual([...Array<undefined>(5).fill(undefined), 1, 1]);
    expect(payments(limits, "cd", 500)).toEqual([undefined, 1]);
  });

  test("that are refused here cost nothing", () => {
    const limits = new StrangerLimits(0, { ...SIZES, all: { rate: 2, burst: 3 } });
    expect(payments(limits, "aaabbb")).toEqual([undefined, undefined, undefined, 1, 1, 1]);
    expect(payments(limits, "bb", 1_000)).toEqual([undefined, undefined]);
  });

  test("that turn out to be good cost nothing, and earn nothing", () => {
    const limits = new StrangerLimits(0, SIZES);
    for (let i = 0; i < 50; i++) {
      limits.pay("a", 0);
      limits.giveBack("a", 0);
    }
    limits.giveBack("a", 0);
    expect(payments(limits, "aaaa")).toEqual([undefined, undefined, undefined, 1]);
  });

  test("from ever new senders don't fill the memory", () => {
    const limits = new StrangerLimits(0, { ...SIZES, all: { rate: 1, burst: 1_000 } });
    payments(limits, "aaa");
    payments(limits, "bcd");
    expect(payments(limits, "a")).toEqual([1]);
    payments(limits, "efgh");
    expect(limits.size).toBe(4);
    expect(payments(limits, "a")).toEqual([undefined]);
  });
});

test("known credentials pay for what is refused, each for itself", () => {
  const limits = new StrangerLimits(0, SIZES);
  const patience = (id: string, now: number) => wait(() => limits.assertPatience(id, now));
  for (let i = 0; i < 100; i++) limits.refused("one", 0);
  expect([patience("one", 0), patience("one", 1_000), patience("two", 0)]).toEqual([1, undefined, undefined]);
  // Nor does it touch strangers.
  expect(payments(limits, "aaabb")).toEqual(Array(5).fill(undefined));
});
