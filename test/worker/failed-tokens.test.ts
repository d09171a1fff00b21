import { describe, expect, test } from "vitest";
import { type ErrorCode, ERRORS } from "../../protocol/errors.ts";
import { type Ceiling, isOver } from "../../worker/ceilings.ts";
import { FailedTokens, isCharged } from "../../worker/failed-tokens.ts";

const fail = (failed: FailedTokens, sender: string, times: number, now = 0) => {
  for (let i = 0; i < times; i++) failed.charge(sender, now);
};

describe("failures of one sender", () => {
  test.each([
    [0, 0, 0],
    [19, 0, 0],
    [20, 0, 1_000],
    [20, 999, 1],
    [20, 1_000, 0],
    [30, 0, 11_000],
    [30, 10_500, 500],
    // A debt that a minute pays, however many came at once.
    [10_000, 0, 61_000],
  ])("after %d, %d ms later: %d ms to wait", (times, later, waitMs) => {
    const failed = new FailedTokens();
    fail(failed, "a", times);
    expect(failed.waitMs("a", later)).toBe(waitMs);
    expect(failed.waitMs("b", later)).toBe(0);
    expect(failed.isCalm(later)).toBe(waitMs === 0);
  });

  test("over the platform's ceiling it waits for that, however few failed here", () => {
    const failed = new FailedTokens();
    failed.shut("a", 0);
    expect(failed.waitMs("a", 0)).toBe(10_000);
    fail(failed, "b", 50);
    failed.shut("b", 0);
    expect(failed.waitMs("b", 0)).toBe(31_000);
  });

  test("memory is bounded: who failed longest ago is forgotten", () => {
    const failed = new FailedTokens(100);
    for (let i = 0; i < 100; i++) fail(failed, `s${i}`, 20);
    fail(failed, "s0", 1);
    for (let i = 0; i < 50; i++) fail(failed, `t${i}`, 20);
    expect(failed.size).toBe(100);
    expect([failed.waitMs("s0", 0), failed.waitMs("s1", 0), failed.waitMs("s99", 0)]).toEqual([
      2_000, 0, 1_000,
    ]);
  });
});

test("charged is what nobody can be shown to have signed; a clock, a policy and a proven client's mistake are not", () => {
  const charged = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => isCharged(code));
  expect(charged.toSorted()).toEqual([
    "certificate_invalid",
    "client_unknown",
    "handle_unknown",
    "platform_token_invalid",
    "platform_token_refused",
    "proof_invalid",
    "route_unknown",
    "token_act",
    "token_audience",
    "token_lifetime",
    "token_malformed",
    "token_signature",
    "token_type",
  ]);
});

describe("a ceiling", () => {
  test.each<[string, Ceiling | undefined, boolean]>([
    ["that is not there", undefined, false],
    ["with room", { limit: () => Promise.resolve({ success: true }) }, false],
    ["that is reached", { limit: () => Promise.resolve({ success: false }) }, true],
    ["that fails", { limit: () => Promise.reject(new Error("down")) }, false],
    [
      "that throws",
      {
        limit: () => {
          throw new Error("down");
        },
      },
      false,
    ],
  ])("%s", async (_what, ceiling, over) => {
    expect(await isOver(ceiling, "key")).toBe(over);
  });
});
