import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createRelay, type ReceiptClaims, relayInfo, RelayError } from "../../client/index.ts";
import { NodeKeys } from "../../client/node-keys.ts";
import { type FakeEdge, type Seen, sendError, startFakeEdge, writeHead } from "../support/fake-edge.ts";
import { failureOf } from "../support/fidelity.ts";
import { type Origin, startOrigin } from "./origin.ts";

const EGRESS = "203.0.113.7";

let edge: FakeEdge;
let origin: Origin;
let published: unknown;
beforeAll(async () => {
  origin = await startOrigin((got, response) => {
    response.end(`${got.method} ${got.url}`);
  });
});
beforeEach(async () => {
  edge = await startFakeEdge();
  published = edge.published.nodes;
  return () => edge.close();
});
afterAll(() => origin.close());

/** Answers the next call by a body, with a receipt whose claims are changed, or with another one. */
function answersWith(make: (seen: Seen) => Promise<string | undefined>, body = "secret"): void {
  edge.next(async (seen, response: ServerResponse) => {
    const receipt = await make(seen);
    const more: Record<string, string> = receipt === undefined ? {} : { "Relay-Receipt": receipt };
    writeHead(response, { status: 200 }, { more });
    response.end(body);
  });
}

describe("a receipt", () => {
  test("is asked for only where it is wanted", async () => {
    const response = await createRelay(edge.url).fetch(origin.url);
    expect(edge.seen[0]!.claims.receipt).toBeUndefined();
    expect([relayInfo(response)!.receipt, edge.published.asked]).toEqual([undefined, 0]);
  });

  test("is verified, and tells of the call", async () => {
    const response = await createRelay(edge.url, { receipt: true }).fetch(`${origin.url}/a?b`);
    const { claims } = edge.seen[0]!;
    expect(claims.receipt).toBe(true);
    expect(relayInfo(response)!.receipt).toEqual({
      iss: "node-a",
      aud: edge.origin,
      sub: "app",
      jti: claims.jti,
      iat: 1_767_225_600,
      htm: "GET",
      target: new URL(origin.url).host,
      egress: EGRESS,
      dialed: "192.0.2.80",
      tls: null,
      status: 200,
      bytes_up: 0,
      bytes_down: null,
    });
    expect(await response.text()).toBe("GET /a?b");
  });

  const WRONG: readonly (readonly [string, Partial<ReceiptClaims> | (() => undefined | string)])[] = [
    ["is missing", () => undefined],
    ["is no token", () => "receipt"],
    ["is for another request", { jti: "AAECAwQFBgcICQoLDA0ODw" }],
    ["is for another client", { sub: "other" }],
    ["is for another edge", { aud: "https://other.example.com" }],
    ["is for another target", { target: "other.example.com" }],
    ["is for another method", { htm: "POST" }],
    ["is for another status", { status: 500 }],
    ["is another node's", { iss: "node-b" }],
  ];
  test.each(WRONG)("that %s fails the call", async (_what, wrong) => {
    answersWith(async ({ claims }) => (typeof wrong === "function" ? wrong() : edge.receipt(claims, wrong)));
    const error = await failureOf(createRelay(edge.url, { receipt: true }).fetch(origin.url));
    expect([error.code, error.reached, error.retryable]).toEqual(["receipt_invalid", "yes", false]);
    expect([error.node, error.requestId]).toEqual(["node-a", edge.seen[0]!.claims.jti]);
  });

  test("by a key that is not published fails the call", async () => {
    await edge.rotate();
    const error = await failureOf(createRelay(edge.url, { receipt: true }).fetch(origin.url));
    expect([error.code, error.reached]).toEqual(["receipt_invalid", "yes"]);
  });

  test("is not expected of the relay's own failures", async () => {
    edge.next((_, response) => sendError(response, new RelayError("target_not_allowed", "not yours")));
    const error = await failureOf(createRelay(edge.url, { egress: [EGRESS] }).fetch(origin.url));
    expect([error.code, error.reached]).toEqual(["target_not_allowed", "no"]);
  });
});

describe("a list of addresses", () => {
  test.each([[[EGRESS]], [["203.0.113.1", EGRESS]]])("with the right one passes: %j", async (egress) => {
    const response = await createRelay(edge.url, { egress }).fetch(origin.url);
    expect(await response.text()).toBe("GET /");
    expect(relayInfo(response)!.egress).toBe(EGRESS);
  });

  test("without it fails the call, and the body is cancelled", async () => {
    let cut = false;
    edge.next(async ({ claims }, response) => {
      response.on("close", () => (cut = true));
      writeHead(response, { status: 200 }, { more: { "Relay-Receipt": await edge.receipt(claims) } });
      response.write("secret");
    });
    const error = await failureOf(createRelay(edge.url, { egress: ["203.0.113.8"] }).fetch(origin.url));
    expect([error.code, error.reached, error.retryable]).toEqual(["egress_not_listed", "yes", false]);
    expect(error.detail).toContain(EGRESS);
    await expect.poll(() => cut).toBe(true);
  });

  test("is believed by the receipt and not by the field", async () => {
    answersWith(async ({ claims }) => edge.receipt(claims, { egress: "198.51.100.1" }));
    const error = await failureOf(createRelay(edge.url, { egress: [EGRESS] }).fetch(origin.url));
    expect(error.code).toBe("egress_not_listed");
  });

  test("compares IPv6 addresses, however they are written", async () => {
    answersWith(async ({ claims }) => edge.receipt(claims, { egress: "2001:db8::a" }));
    const relay = createRelay(edge.url, { egress: ["2001:DB8:0:0:0:0:0:A"] });
    expect(await (await relay.fetch(origin.url)).text()).toBe("secret");
  });

  test.each([[[]], [["relay.example.com"]], [["203.0.113.010"]], [["203.0.113.0/24"]], [[""]]])(
    "%j is refused when it is given",
    (egress) => {
      expect(() => createRelay(edge.url, { egress })).toThrow(/^request_invalid: egress/);
    },
  );
});

describe("the nodes' keys", () => {
  test("are asked for once, by calls at once too", async () => {
    edge.published.delayMs = 100;
    const relay = createRelay(edge.url, { receipt: true });
    await Promise.all(Array.from({ length: 8 }, () => relay.fetch(origin.url)));
    await relay.fetch(origin.url);
    expect([edge.published.asked, edge.seen.length]).toEqual([1, 9]);
  });

  test("are waited for no longer than the caller waits", async () => {
    edge.published.delayMs = 300;
    const relay = createRelay(edge.url, { receipt: true });
    await expect(relay.fetch(origin.url, { signal: AbortSignal.timeout(50) })).rejects.toThrow(/timeout/i);
    expect(edge.seen).toEqual([]);
  });

  test("that can't be had stop a call before it is sent", async () => {
    for (const [status, nodes] of [
      [503, []],
      [200, undefined],
      [200, "none"],
    ] as const) {
      Object.assign(edge.published, { status, nodes });
      const error = await failureOf(createRelay(edge.url, { receipt: true }).fetch(origin.url));
      expect([error.code, error.reached]).toEqual(["edge_failed", "no"]);
    }
    await edge.close();
    const error = await failureOf(createRelay(edge.url, { receipt: true }).fetch(origin.url));
    expect([error.code, error.reached]).toEqual(["edge_unreachable", "no"]);
    expect(edge.seen).toEqual([]);
  });

  let now = 0;
  const start = () => new NodeKeys({ edge: edge.origin, underlying: () => fetch, now: () => now });
  const SECONDS = 1_000;

  test("are kept for ten minutes, and longer where the edge does not answer then", async () => {
    const keys = start();
    const askedAt = async (at: number) => {
      now = at;
      await keys.ready();
      return edge.published.asked;
    };
    expect([await askedAt(0), await askedAt(599 * SECONDS)]).toEqual([1, 1]);
    expect(await askedAt(600 * SECONDS)).toBe(2);
    edge.published.status = 503;
    expect([await askedAt(1_200 * SECONDS), await askedAt(1_229 * SECONDS)]).toEqual([3, 3]);
    expect(keys.known.has("node-a")).toBe(true);
    edge.published.status = 200;
    expect([await askedAt(1_230 * SECONDS), await askedAt(1_829 * SECONDS)]).toEqual([4, 4]);
  });

  test("are asked for again where a receipt does not hold, but not within half a minute", async () => {
    edge.published.nodes = [null, { id: "node-a", key: { kty: "oct", k: "x" } }, { id: 1 }];
    const keys = start();
    now = 0;
    await keys.ready();
    const old = keys.known;
    expect([...old]).toEqual([]);
    edge.published.nodes = published;
    now = 29 * SECONDS;
    expect([await keys.renew(old), edge.published.asked]).toEqual([false, 1]);
    now = 30 * SECONDS;
    expect(await Promise.all([keys.renew(old), keys.renew(old), keys.renew(old)])).toEqual([
      true,
      true,
      true,
    ]);
    expect([...keys.known.keys(), edge.published.asked]).toEqual(["node-a", 2]);
    expect([await keys.renew(keys.known), edge.published.asked]).toEqual([false, 2]);
  });

  test("of a node that changed its own are found while its old ones are remembered", async () => {
    let ahead = 0;
    const relay = createRelay(edge.url, { receipt: true, now: () => Date.now() + ahead });
    ahead = -40 * SECONDS;
    await relay.fetch(origin.url);
    ahead = 0;
    edge.published.nodes = [{ id: "node-a", key: await edge.rotate() }];
    const response = await relay.fetch(origin.url);
    expect(relayInfo(response)!.receipt).toBeDefined();
    expect(edge.published.asked).toBe(2);
  });
});
