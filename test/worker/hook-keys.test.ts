import { describe, expect, test } from "vitest";
import { keysOf } from "../../worker/hooks/event-keys.ts";
import { type KeyRule, parseKeyRule } from "../../worker/hooks/key-rule.ts";
import { PROVIDER_IDS } from "../../worker/hooks/provider-ids.ts";

const none: KeyRule = { from: "none" };

async function idBy(rule: KeyRule, headers: Record<string, string>, body?: string | Buffer) {
  const bytes = body === undefined ? undefined : Uint8Array.from(Buffer.from(body));
  const asId = await keysOf({ dedupe: rule, order: none }, { headers: new Headers(headers) }, bytes);
  const asLane = await keysOf({ dedupe: none, order: rule }, { headers: new Headers(headers) }, bytes);
  expect(asId).toEqual({ dedupe: asLane.lane, lane: null });
  return asId.dedupe;
}

describe("the id of an event", () => {
  test.each([
    ["standard-webhooks", { "webhook-id": "msg_1" }, "", "msg_1"],
    ["standard-webhooks", { "svix-id": "msg_2" }, "", "msg_2"],
    ["stripe", {}, '{"id":"evt_1","object":"event"}', "evt_1"],
    ["github", { "x-github-delivery": "72d3162e-cc78" }, "", "72d3162e-cc78"],
    ["slack", {}, '{"type":"event_callback","event_id":"Ev08"}', "Ev08"],
    ["slack", {}, "payload=%7B%7D", null],
    ["shopify", { "x-shopify-event-id": "e", "x-shopify-webhook-id": "w" }, "", "e"],
    ["shopify", { "x-shopify-event-id": "e", "x-shopify-topic": "orders/paid" }, "", "orders/paid e"],
    ["shopify", { "x-shopify-webhook-id": "w", "x-shopify-topic": "orders/paid" }, "", "orders/paid w"],
    ["shopify", { "x-shopify-topic": "orders/paid" }, "", null],
    ["twilio", { "i-twilio-idempotency-token": "t" }, "", "t"],
  ] as const)("of %s", async (type, headers, body, id) => {
    expect(await idBy(PROVIDER_IDS[type]!, headers, body)).toBe(id);
  });

  test.each([
    ["header:X-Id", "a b", "a b"],
    ["header:X-Id", "", null],
    ["header:X-Other", "1", null],
  ])("by %s, which is %j", async (rule, value, id) => {
    expect(await idBy(parseKeyRule(rule)!, { "X-ID": value })).toBe(id);
  });

  test.each([
    ["json:/a/b", '{"a":{"b":"x"}}', "x"],
    ["json:/a/1", '{"a":["x","y"]}', "y"],
    ["json:/a~1b/~0", '{"a/b":{"~":"x"}}', "x"],
    ["json:/~01", '{"~1":"x"}', "x"],
    ["json:/", '{"":"x"}', "x"],
    ["json:/a", '\ufeff{"a":"x"}', "x"],
    ["json:/a", '{"a":"x","a":"y"}', "y"],
    ["json:/a", '{"a":17}', "17"],
    // Two that JavaScript would take for one.
    ["json:/a", '{"a":9007199254740993}', "9007199254740993"],
    ["json:/0/a", '[{"a":1234567890123456789012}]', "1234567890123456789012"],
    ["json:/a", '{"a":0.10}', "0.10"],
    ["json:/a", '{"b":1}', null],
    ["json:/a", '{"a":""}', null],
    ["json:/a", '{"a":null}', null],
    ["json:/a", '{"a":true}', null],
    ["json:/a", '{"a":{}}', null],
    ["json:/a/length", '{"a":["x"]}', null],
    ["json:/a/01", '{"a":["x","y"]}', null],
    ["json:/a/-", '{"a":["x"]}', null],
    ["json:/a/0", '{"a":"x"}', null],
    ["json:/__proto__/constructor/name", "{}", null],
    ["json:/toString", "{}", null],
    ["json:/a", '{"a":"x"', null],
    ["json:/a", "", null],
    ["json:/a", Buffer.from('{"a":"\xff"}', "latin1"), null],
    ["json:/a", "[".repeat(500_000), null],
    ["json:/a", `${"[".repeat(500_000)}${"]".repeat(500_000)}`, null],
    ["json:/a", `{"b":${"[".repeat(100_000)}${"]".repeat(100_000)},"a":9007199254740993}`, null],
  ])("by %s", async (rule, body, id) => {
    expect(await idBy(parseKeyRule(rule)!, {}, body)).toBe(id);
  });

  test("that is too long, or can't be shown, is kept as its hash", async () => {
    const rule = parseKeyRule("json:/a")!;
    const ids = await Promise.all(
      ["x".repeat(257), `${"x".repeat(256)}y`, "a\nb", "a\0", "\ud800", "\ud801"].map((a) =>
        idBy(rule, {}, JSON.stringify({ a })),
      ),
    );
    for (const id of ids) expect(id).toMatch(/^sha256:[\w-]{43}$/);
    expect(new Set(ids)).toHaveLength(ids.length);
    expect(await idBy(rule, {}, JSON.stringify({ a: "x".repeat(256) }))).toBe("x".repeat(256));
  });

  test("is one for all where all wait for each other", async () => {
    const keys = await keysOf(
      { dedupe: none, order: { from: "all" } },
      { headers: new Headers() },
      undefined,
    );
    expect(keys).toEqual({ dedupe: null, lane: "all" });
  });
});
