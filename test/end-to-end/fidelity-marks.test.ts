import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRelay, relayInfo } from "../../client/index.ts";
import type { Field } from "../../protocol/headers.ts";
import { startFakeNode, type FakeNode } from "../support/fake-node.ts";
import { type Bench, failureOf, startBench } from "../support/fidelity.ts";
import { EdgeCall, enveloped, raw } from "../support/raw-caller.ts";

/** Who says what: nothing of the relay's reaches a target, and no target speaks as the relay. */

let bench: Bench;
let fake: FakeNode;
beforeAll(async () => {
  bench = await startBench();
  fake = await startFakeNode(["https://api.example.com"]);
});
afterAll(async () => {
  await bench.stop();
  await fake.stop();
});

describe("nothing of the relay's reaches the target", () => {
  const OWN: readonly Field[] = [
    ["X-Mine", "1"],
    ["Accept", "*/*"],
  ];
  test.each([
    { form: "enveloped", wire: enveloped, names: ["host", "connection", "X-Mine", "Accept"] },
    // Sorted by name: the edge's runtime keeps no order.
    { form: "raw", wire: raw, names: ["host", "connection", "accept", "x-mine"] },
  ])("$form", async ({ wire, names }) => {
    for (const framing of ["none", 3, "chunked"] as const) {
      const sent = await wire(bench.relayUrl, {
        method: "POST",
        url: `${bench.tls.url}/x`,
        fields: OWN,
        framing,
      });
      await EdgeCall.make(bench.edge, sent, framing === "none" ? undefined : "abc");
      const { head, body } = await bench.tls.request();
      const more = framing === "none" ? [] : framing === 3 ? ["content-length"] : ["transfer-encoding"];
      expect(head.fields.map(([name]) => name)).toEqual([...names, ...more]);
      expect(body.trailers).toEqual([]);
      const token = sent.fields[0]![1].slice("Bearer ".length);
      for (const part of token.split(".")) expect(head.text).not.toContain(part);
      expect(head.text).not.toMatch(/relay|holdfast|node-1|eyJ/i);
    }
  });

  test("through our client, but its name as a user agent where the caller has none", async () => {
    await bench.relay.fetch(`${bench.tls.url}/x`, { headers: { "user-agent": "mine/1" } });
    const { head } = await bench.tls.request();
    expect(head.fields).toEqual([
      ["host", bench.tls.host],
      ["connection", "keep-alive"],
      ["user-agent", "mine/1"],
      ["accept", "*/*"],
    ]);
  });
});

describe("a target can't speak as the relay", () => {
  const FORGED: readonly Field[] = [
    ["Relay-Error", "dns_failed"],
    ["relay-error", "token_expired"],
    ["Relay-Status", "none"],
    ["Relay-Envelope", "1; body=4"],
    ["Relay-Fields-1", "OnN0YXR1czoyMDAKOnJlYXNvbjoK"],
    ["Relay-Node", "node-9"],
    ["Relay-Egress", "192.0.2.1"],
    ["Relay-Request-Id", "AAAA"],
    ["Relay-Timing", "dns;dur=1"],
    ["Relay-Receipt", "e30.e30.AAAA"],
    ["Relay-Anything", "x"],
  ];
  const PASSED: readonly Field[] = [
    ["Proxy-Status", "holdfast; error=dns_error"],
    ["Server-Timing", "dns;dur=1"],
    ["Content-Type", "application/problem+json"],
    ["Content-Length", "4"],
  ];
  const answer = [...FORGED, ...PASSED].map(([name, value]) => `${name}: ${value}\r\n`).join("");

  test.each([200, 401, 502, 503])("%i with every mark of the relay's, through our client", async (status) => {
    bench.tls.next((exchange) => exchange.send(`HTTP/1.1 ${status} Forged\r\n${answer}\r\nbody`));
    const response = await bench.relay.fetch(bench.tls.url);
    expect([response.status, response.statusText, await response.text()]).toEqual([status, "Forged", "body"]);
    const info = relayInfo(response)!;
    expect(info.fields).toEqual(PASSED);
    expect([info.node, info.egress]).toEqual(["node-1", "127.0.0.2"]);
    expect(info.requestId).toMatch(/^[\w-]{22}$/);
    await bench.tls.request();
  });

  test("and to a raw caller", async () => {
    bench.tls.next((exchange) => exchange.send(`HTTP/1.1 502 Forged\r\n${answer}\r\nbody`));
    const { head } = await EdgeCall.make(
      bench.edge,
      await raw(bench.relayUrl, { method: "GET", url: bench.tls.url }),
    );
    const fields = new Map(head.fields.map(([name, value]) => [name.toLowerCase(), value]));
    expect(head.start).toBe("HTTP/1.1 502 Forged");
    expect(fields.get("relay-status")).toBe("target");
    expect([fields.get("relay-node"), fields.get("relay-egress")]).toEqual(["node-1", "127.0.0.2"]);
    expect(fields.get("relay-request-id")).toMatch(/^[\w-]{22}$/);
    const own = head.fields.map(([name]) => name.toLowerCase()).filter((name) => name.startsWith("relay-"));
    expect(own.toSorted()).toEqual([
      "relay-egress",
      "relay-node",
      "relay-request-id",
      "relay-status",
      "relay-timing",
    ]);
    for (const [name, value] of PASSED) expect(fields.get(name.toLowerCase())).toBe(value);
    await bench.tls.request();
  });

  test("a failure of the relay's is marked as one, to a raw caller too", async () => {
    const call = { method: "GET", url: "https://localhost:1/" };
    const refused = await EdgeCall.make(bench.edge, await raw(bench.relayUrl, call));
    expect(refused.head.start).toBe("HTTP/1.1 403 Forbidden");
    const fields = new Map(refused.head.fields.map(([name, value]) => [name.toLowerCase(), value]));
    expect([fields.get("relay-error"), fields.get("proxy-status"), fields.get("relay-status")]).toEqual([
      "target_not_allowed",
      "holdfast; error=http_request_denied",
      undefined,
    ]);
  });
});

describe("an answer with neither mark is a failure of the path, of unknown reach", () => {
  const URL = "https://api.example.com/";
  test.each([
    {
      what: "a CDN's page",
      status: 502,
      headers: { "Content-Type": "text/html", Server: "cdn" },
      body: "<h1>502 Bad Gateway</h1>",
    },
    {
      what: "a CDN's page of its own numbers",
      status: 530,
      headers: { "Content-Type": "text/html" },
      body: "error code: 1101",
    },
    {
      what: "a page with 200",
      status: 200,
      headers: { "Content-Type": "text/html" },
      body: "<h1>Welcome</h1>",
    },
    {
      what: "an envelope without a mark",
      status: 200,
      headers: { "Relay-Envelope": "1", "Relay-Fields-1": "OnN0YXR1czoyMDAKOnJlYXNvbjoK" },
      body: "x",
    },
    { what: "a mark of another meaning", status: 200, headers: { "Relay-Status": "edge" }, body: "x" },
    { what: "a redirect", status: 302, headers: { Location: "https://elsewhere.example.com/" }, body: "" },
  ])("in a node's place, $what", async ({ status, headers, body }) => {
    fake.answer = (_request, response) => response.writeHead(status, headers).end(body);
    const error = await failureOf(createRelay(fake.relayUrl).fetch(URL));
    expect([error.code, error.reached, error.retryable, error.node]).toEqual([
      "node_failed",
      "unknown",
      false,
      "node-1",
    ]);
    const answer = await EdgeCall.make(fake.edge, await raw(fake.relayUrl, { method: "GET", url: URL }));
    expect(answer.head.start).toBe("HTTP/1.1 502 Bad Gateway");
    expect(JSON.parse(answer.body.content.toString())).toMatchObject({
      code: "node_failed",
      reached: "unknown",
    });
    expect(answer.head.fields).toContainEqual(["Relay-Error", "node_failed"]);
  });

  test("in a node's place, nobody", async () => {
    fake.answer = (request) => request.socket.destroy();
    const error = await failureOf(createRelay(fake.relayUrl).fetch(URL));
    expect([error.code, error.reached]).toEqual(["node_unreachable", "unknown"]);
  });

  test.each([502, 200])("in the edge's place, a page with %i", async (status) => {
    const page = async () =>
      new Response("<h1>page</h1>", { status, headers: { "content-type": "text/html" } });
    const error = await failureOf(createRelay(fake.relayUrl, { fetch: page }).fetch(URL));
    expect([error.code, error.reached, error.retryable]).toEqual(["edge_failed", "unknown", false]);
  });
});
