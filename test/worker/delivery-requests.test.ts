import { describe, expect, test } from "vitest";
import { isDeliveryOptions } from "../../protocol/deliveries.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { hookUrl } from "../../worker/deliveries/send/hook-url.ts";
import { retryAfterOf } from "../../worker/deliveries/send/retry-after.ts";
import { knownBy, likenessOf } from "../../worker/enqueue/known-by.ts";

const NOW = Date.parse("Sat, 28 Nov 2026 12:00:00 GMT");

test.for([
  ["120", 120],
  [" 0 ", 0],
  ["Sat, 28 Nov 2026 12:00:30 GMT", 30],
  ["Sat, 28 Nov 2026 11:00:00 GMT", 0],
  ["-1", null],
  ["1.5", null],
  ["soon", null],
  ["2026-11-28T12:00:30Z", null],
  ["99999999999999", null],
  ["", null],
] as const)("Retry-After: %s", ([value, seconds]) => {
  expect(
    retryAfterOf(
      [
        ["X-Other", "1"],
        ["RETRY-AFTER", value],
      ],
      NOW,
    ),
  ).toBe(seconds);
});

test("no Retry-After", () => expect(retryAfterOf([], NOW)).toBeNull());

test.for([
  ["https://a.example/in", "", "https://a.example/in"],
  ["https://a.example/in", "?a=%20&b", "https://a.example/in?a=%20&b"],
  ["https://a.example/in?key=1", "?a=2", "https://a.example/in?key=1&a=2"],
  ["http://A.example:8080", "?", "http://a.example:8080/?"],
] as const)("a route to %s, called with %s", ([target, query, url]) => {
  expect(hookUrl(parseTargetUrl(target), query)).toBe(url);
});

describe("what a client wants of a delivery", () => {
  test.for([
    [{}, true],
    [{ key: "order-1", lane: "orders", schedule: [0, 0.5, 604_800], callback: "https://a.example/" }, true],
    [{ key: "k".repeat(256) }, true],
    [{ key: "k".repeat(257) }, false],
    [{ key: "" }, false],
    [{ key: 1 }, false],
    [{ key: "\ud800" }, false],
    [{ lane: "" }, false],
    [{ schedule: [] }, false],
    [{ schedule: Array.from({ length: 51 }, () => 0) }, false],
    [{ schedule: [-1] }, false],
    [{ schedule: ["1"] }, false],
    [{ schedule: [604_801] }, false],
    [{ callback: "" }, false],
    [{ callbackUrl: "https://a.example/" }, false],
    [{ constructor: "x" }, false],
    [[], false],
    [null, false],
    ["key", false],
  ] as const)("%j", ([value, isTaken]) => expect(isDeliveryOptions(value)).toBe(isTaken));
});

describe("what a request is known by", () => {
  const jti = "AAAAAAAAAAAAAAAAAAAAAA";

  test("its key, else its token, which never look alike", () => {
    expect(knownBy({ jti })).not.toBe(knownBy({ jti, delivery: { key: jti } }));
    expect(knownBy({ jti, delivery: { key: "a" } })).toBe(
      knownBy({ jti: "BAAAAAAAAAAAAAAAAAAAAA", delivery: { key: "a" } }),
    );
  });

  test("it is like another of the same method, URL and body", async () => {
    const given: Parameters<typeof likenessOf> = ["POST", "https://a.example/", "sha-256=:…:"];
    const others: Parameters<typeof likenessOf>[] = [
      ["PUT", given[1], given[2]],
      [given[0], "https://a.example/?", given[2]],
      [given[0], given[1], "sha-256=:,:"],
    ];
    const likeness = await likenessOf(...given);
    expect(await likenessOf(...given)).toBe(likeness);
    for (const one of others) expect(await likenessOf(...one)).not.toBe(likeness);
  });
});
