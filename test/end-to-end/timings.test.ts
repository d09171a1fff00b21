import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRelay, relayInfo } from "../../client/index.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { failureOf, sleep } from "../support/fidelity.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { type Changes, type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";
import { freePort } from "../support/stack.ts";

/** Every answer says how long which stage took, as far as the request came. */

const DELAY_MS = 120;

let relay: RefusalStack;
let plain: CountingTarget;
beforeAll(async () => {
  const port = await freePort();
  relay = await startRefusalStack(["TARGET", `http://127.0.0.1:${port}`, "http://*:9"], {
    nameServers: ["127.0.0.1:1"],
  });
  plain = await startCountingTarget({
    port,
    answer: (request, response: ServerResponse) => {
      if (request.url === "/close") return void request.socket.destroy();
      setTimeout(() => response.end("ok"), request.url === "/slow" ? DELAY_MS : 0);
    },
  });
});
afterAll(() => Promise.all([relay.stop(), plain.close()]));

const http = (path = "/") => `http://127.0.0.1:${plain.port}${path}`;

/** The stages in their order, those without a duration with what they say. */
function stagesOf(answer: RawAnswer | undefined): string[] {
  return (answer?.field("relay-timing") ?? "").split(", ").map((metric) => {
    const [, stage, duration] = /^(\w+);dur=(\d+\.\d)$/.exec(metric) ?? [];
    return duration === undefined ? metric : stage!;
  });
}

const EDGE = ["edge_auth", "edge_node"];
const DIAL = ["dns", "connect"];
const NEW = "connection;desc=new";
const WARM = "connection;desc=warm";

describe("a target's answer", () => {
  test.each([
    { form: "enveloped", scheme: "https", stages: [...EDGE, "node_queue", ...DIAL, "tls", "target"] },
    { form: "raw", scheme: "https", stages: [...EDGE, "node_queue", ...DIAL, "tls", "target"] },
    { form: "enveloped", scheme: "http", stages: [...EDGE, "node_queue", ...DIAL, "target"] },
    { form: "raw", scheme: "http", stages: [...EDGE, "node_queue", ...DIAL, "target"] },
  ] as const)("by $scheme, $form: a new connection and a warm one", async ({ form, scheme, stages }) => {
    // No two cases share node and target: each begins without a warm connection.
    const claims = () => ({
      url: scheme === "https" ? `${relay.targetUrl}/x` : http(),
      node: form === "raw" ? "node-1" : "node-2",
    });
    const ask = (): Changes => ({ form, claims: { ...claims(), jti: newRequestId() } });
    expect(stagesOf(await relay.ask(ask()))).toEqual([...stages, NEW]);
    await sleep(20);
    expect(stagesOf(await relay.ask(ask()))).toEqual([...EDGE, "node_queue", "target", WARM]);
  });

  test("and its stages lie within the time that the caller sees", async () => {
    const client = createRelay(relay.stack.relayUrl);
    const started = performance.now();
    const response = await client.fetch(http("/slow"));
    const elapsed = performance.now() - started;
    const { timing, warm } = relayInfo(response)!;
    expect(timing["target"]).toBeGreaterThan(DELAY_MS - 10);
    const sum = Object.values(timing).reduce((total, ms) => total + ms, 0);
    // Each stage may have been rounded up.
    expect(sum).toBeLessThan(elapsed + 1);
    expect(typeof warm).toBe("boolean");
  });
});

describe("a failure", () => {
  const replayed = newRequestId();
  beforeAll(async () => {
    await relay.ask({ claims: { jti: replayed, url: http(), node: "node-1" } });
    // What can't be repeated takes no connection that stood idle for a second.
    await sleep(1_100);
  });
  const CASES: readonly (readonly [string, () => Changes, string, readonly string[]])[] = [
    [
      "at the edge, for its token",
      () => ({ authorization: ["Relay-Authorization: Bearer x.y.z"] }),
      "token_malformed",
      [],
    ],
    ["at the edge, without a token", () => ({ authorization: [] }), "token_missing", []],
    [
      "at the edge, for its target",
      () => ({ claims: { url: "https://other.example.com/" } }),
      "target_not_allowed",
      [],
    ],
    ["at the edge, for its path", () => ({ path: "/nowhere" }), "not_found", []],
    ["at the edge, of an operator's call", () => ({ path: "/admin/clients/x" }), "token_type", []],
    [
      "at the node, for a replay",
      () => ({ claims: { jti: replayed, url: http() } }),
      "token_replayed",
      ["edge_node", "node_queue"],
    ],
    [
      "at the node, for an address",
      () => ({ claims: { url: "http://10.0.0.1:9/" } }),
      "address_refused",
      ["edge_node", "node_queue", "dns"],
    ],
    [
      "for a name that is not known",
      () => ({ claims: { url: "http://nowhere.example.test:9/" } }),
      "dns_failed",
      ["edge_node", "node_queue", "dns"],
    ],
    [
      "for a target that does not listen",
      () => ({ claims: { url: "http://127.0.0.1:9/" } }),
      "connect_refused",
      ["edge_node", "node_queue", "dns", "connect"],
    ],
    [
      "for a target that closes",
      () => ({ claims: { url: http("/close"), htm: "POST", framing: 0 }, framing: ["Content-Length: 0"] }),
      "target_closed",
      ["edge_node", "node_queue", "dns", "connect", "target", NEW],
    ],
  ];
  test.each(CASES)("%s", async (_what, ask, code, stages) => {
    const asked = ask();
    const claims = { node: "node-1", ...asked.claims };
    const answer = await relay.ask({ ...asked, claims });
    expect(answer?.field("relay-error")).toBe(code);
    expect(stagesOf(answer)).toEqual(["edge_auth", ...stages]);
  });

  test("tells them to our client", async () => {
    const error = await failureOf(createRelay(relay.stack.relayUrl).fetch("http://127.0.0.1:9/"));
    expect(error.code).toBe("connect_refused");
    expect(Object.keys(error.timing!)).toEqual(["edge_auth", "edge_node", "node_queue", ...DIAL]);
  });
});
