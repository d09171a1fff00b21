import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, RelayError } from "../../protocol/errors.ts";
import type { GrantClaims } from "../../protocol/grants.ts";
import type { RequestClaims } from "../../protocol/claims.ts";
import { type Answer, type FakePool, fails, idFor, startFakePool } from "../support/fake-pool.ts";
import { requestToken } from "../support/raw-caller.ts";

const NAME = "mongodb+srv://cluster0.ab1cd.mongodb.net";
const SEEDS = [
  { host: "shard-00.ab1cd.mongodb.net", port: 27_017 },
  { host: "shard-01.ab1cd.mongodb.net", port: 27_017 },
];
let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(8, ["tcp://*.ab1cd.mongodb.net:27017"]);
});
afterAll(() => pool.stop());

/** As a node answers. */
const finds =
  (body: unknown): Answer =>
  (_request, response, { grant }) =>
    response
      .writeHead(200, {
        "Relay-Status": "target",
        "Relay-Node": grant.aud,
        "Content-Type": "application/json",
      })
      .end(typeof body === "string" ? body : JSON.stringify(body));

async function ask(nodes: readonly { readonly id: string }[], claims: Partial<RequestClaims> = {}) {
  const token = await requestToken(pool.relayUrl, {
    act: "resolve",
    htm: "POST",
    url: NAME,
    jti: idFor(nodes),
    node: nodes.map(({ id }) => id),
    ...claims,
  });
  const answer = await fetch(`${pool.edge}/resolve`, {
    method: "POST",
    headers: { "Relay-Authorization": `Bearer ${token}` },
  });
  return { answer, text: await answer.text(), code: answer.headers.get("relay-error") };
}

test("hosts and options come from a node, under a grant for that name", async () => {
  const [node] = pool.pair();
  const grants: GrantClaims[] = [];
  node.answer = (request, response, sent) => {
    expect([request.method, request.url, sent.body]).toEqual(["POST", "/resolve", ""]);
    grants.push(sent.grant);
    finds({ seeds: SEEDS, options: "authSource=admin&tls=false" })(request, response, sent);
  };
  const { answer, text } = await ask([node]);
  expect(answer.status).toBe(200);
  expect(JSON.parse(text)).toEqual({ seeds: SEEDS, options: "authSource=admin" });
  expect(answer.headers.get("relay-status")).toBe("target");
  expect(answer.headers.get("relay-node")).toBe(node.id);
  expect(grants).toMatchObject([{ act: "resolve", htm: "POST", url: NAME, framing: "none", aud: node.id }]);
});

test("another node is asked where the first does not answer", async () => {
  const [first, second] = pool.pair();
  await first.shut();
  second.answer = finds({ seeds: SEEDS, options: "" });
  const { answer } = await ask([first, second]);
  expect(answer.headers.get("relay-node")).toBe(second.id);
});

describe("refused", () => {
  const [good] = SEEDS;
  test.each<[what: string, code: ErrorCode, answer: Answer]>([
    [
      "a host elsewhere",
      "target_not_allowed",
      finds({ seeds: [good, { host: "a.evil.test", port: 27_017 }], options: "" }),
    ],
    ["another port", "target_not_allowed", finds({ seeds: [{ ...good, port: 22 }], options: "" })],
    ["an answer that is no JSON", "answer_invalid", finds("{")],
    ["an answer without end", "answer_invalid", finds(" ".repeat(70_000))],
    ["a name that isn't there", "dns_failed", fails(new RelayError("dns_failed", "no such name"))],
  ])("%s: %s", async (_what, code, answer) => {
    const node = pool.nodes[7]!;
    node.answer = answer;
    const { code: got, text } = await ask([node]);
    expect(got).toBe(code);
    expect(JSON.parse(text)).toMatchObject({ code, reached: "no" });
    expect(text).not.toMatch(/evil|shard/);
  });

  test.each<[what: string, code: ErrorCode, claims: Partial<RequestClaims>]>([
    ["another domain", "target_not_allowed", { url: "mongodb+srv://a.evil.test" }],
    ["a target's URL", "url_invalid", { url: "tcp://shard-00.ab1cd.mongodb.net:27017" }],
    ["another method", "token_method", { htm: "GET" }],
    ["a body", "token_framing", { framing: 3 }],
    ["the act of another door", "token_act", { act: "stream" }],
  ])("%s before any node is asked: %s", async (_what, code, claims) => {
    const before = pool.nodes.map(({ heads }) => heads);
    expect((await ask(pool.nodes, claims)).code).toBe(code);
    expect(pool.nodes.map(({ heads }) => heads)).toEqual(before);
  });

  test("any other method of the route", async () => {
    const answer = await fetch(`${pool.edge}/resolve`);
    expect(answer.headers.get("relay-error")).toBe("not_found");
  });
});
