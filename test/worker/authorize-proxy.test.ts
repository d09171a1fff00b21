import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { createScopeToken, type ScopeOptions } from "../../client/index.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { generateClientKey, importPrivateKey } from "../../protocol/keys.ts";
import { PROXY_GRANT_SECONDS, PROXY_QUESTION_MAX_BYTES } from "../../protocol/limits.ts";
import type { ProxyQuestion } from "../../protocol/proxy-grants.ts";
import { newRequestId, signToken } from "../../protocol/tokens.ts";
import { FAILED_TOKENS_BURST } from "../../worker/limits.ts";
import { askEdge, nodeMessage } from "../support/asking-node.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { openSocket, streamToken } from "../support/stream-caller.ts";

const DB = "tcp://db.example.com:5432";
const LEGACY = "http://legacy.example.com";
const ALLOW = [DB, "https://api.example.com", "https://paths.example.com/v1/*", `GET,HEAD ${LEGACY}`];
const PROXY_URLS = ["https://proxy.example.com:9443", "socks5h://proxy.example.com:1080"];
const HOUR = 3_600;
let pool: FakePool;
/** None of it may be in the edge's log. */
const secrets: string[] = [];

beforeAll(async () => {
  // A proxy in front that tells an address only where a test says one.
  pool = await startFakePool(3, ALLOW, { CLIENT_ADDRESS_HEADER: "x-test-address", PROXY_URLS });
});
afterEach(() => {
  for (const secret of secrets) expect(pool.log()).not.toContain(secret);
});
afterAll(() => pool.stop());

const now = () => Math.floor(Date.now() / 1_000);

async function scopeToken(options: Partial<ScopeOptions> = {}, relayUrl = pool.relayUrl): Promise<string> {
  const token = await createScopeToken(relayUrl, {
    act: "proxy",
    allow: ALLOW,
    ttlSeconds: HOUR,
    ...options,
  });
  secrets.push(token.split(".")[1]!.slice(0, 40));
  return token;
}

async function newHandle(token: string): Promise<{ id: string; handle: string }> {
  const { value } = await adminCall(pool.operator, "POST", "/admin/handles", { body: { token } });
  const made = value as Awaited<ReturnType<typeof newHandle>>;
  secrets.push(made.handle);
  return made;
}

/** Registers another client; its `HOLDFAST_URL`. */
async function newClient(id: string, more: object = {}): Promise<string> {
  const { publicJwk, privateKey } = await generateClientKey();
  const body = { id, keys: [publicJwk], allow: ALLOW, ...more };
  await adminCall(pool.operator, "PUT", `/admin/clients/${id}`, { body });
  return pool.edge.replace("//", `//${id}:${privateKey}@`);
}

/** Asks for the usual target. */
const ask = (question: Partial<ProxyQuestion> & { readonly credential: string }, asking?: object) =>
  askEdge(pool, { user: "app", target: DB, ...question }, asking);

describe.each(["scope token", "handle"] as const)("with a %s", (kind) => {
  const credential = async (options?: Partial<ScopeOptions>, relayUrl?: string) => {
    const token = await scopeToken(options, relayUrl);
    return kind === "handle" ? (await newHandle(token)).handle : token;
  };

  test("a node gets a grant for its user and one target, as often as it asks", async () => {
    const used = await credential();
    const { grant, fields } = await ask({ credential: used });
    expect(grant).toMatchObject({ sub: "app", act: "proxy", target: DB, aud: "node-1" });
    expect(Math.abs(grant!.iat - now())).toBeLessThan(30);
    expect(grant!.exp - grant!.iat).toBe(PROXY_GRANT_SECONDS);
    expect(fields.get("cache-control")).toBe("no-store");
    expect(fields.get("relay-timing")).toMatch(/^edge_auth;dur=/);
    const again = await ask({ credential: used, target: "tcp://api.example.com:443" });
    expect(again.grant).toMatchObject({ target: "tcp://api.example.com:443" });
    expect(again.grant!.jti).not.toBe(grant!.jti);
  });

  test("a bearer names no user", async () => {
    const { grant } = await askEdge(pool, { credential: await credential(), target: DB });
    expect(grant).toMatchObject({ sub: "app" });
  });

  test("an origin is granted within what both lists say of it", async () => {
    const used = await credential({ allow: [`${LEGACY}/v1/*`, DB] });
    const { grant } = await ask({ credential: used, target: LEGACY });
    expect(grant).toMatchObject({ target: LEGACY, within: [[`${LEGACY}/v1/*`], [`GET,HEAD ${LEGACY}`]] });
    expect((await ask({ credential: used })).grant).not.toHaveProperty("within");
  });

  test("no grant outlives the token", async () => {
    const end = now() + 100;
    const { grant } = await ask({ credential: await credential({ ttlSeconds: 100 }) });
    expect(grant!.exp).toBeGreaterThanOrEqual(end);
    expect(grant!.exp).toBeLessThan(end + 30);
  });

  test("a node is told its share of the client's limits, over the whole pool", async () => {
    const relayUrl = await newClient(`limits-${kind.replace(" ", "-")}`, { limits: { streams: 30 } });
    const used = await credential({ node: ["node-1", "node-2"] }, relayUrl);
    const { grant } = await askEdge(pool, { credential: used, target: DB });
    expect(grant!.limits).toMatchObject({ streams: 10, idle: 3_600, lifetime: 86_400 });
  });

  test.each<[what: string, code: ErrorCode, question: Partial<ProxyQuestion>]>([
    ["another user's name", "proxy_credentials_invalid", { user: "other" }],
    ["no name", "proxy_credentials_invalid", { user: "" }],
    ["another target", "target_not_allowed", { target: "tcp://evil.example.com:5432" }],
    [
      "a tunnel to what is limited to a path",
      "target_not_allowed",
      { target: "tcp://paths.example.com:443" },
    ],
    ["an origin that is not allowed", "target_not_allowed", { target: "http://evil.example.com" }],
    ["an https origin", "url_invalid", { target: "https://api.example.com" }],
    ["a target that is not canonical", "url_invalid", { target: "tcp://DB.example.com:5432" }],
    ["no target", "url_invalid", { target: "" }],
  ])("%s is refused: %s", async (_what, code, question) => {
    const { refused, fields } = await ask({ credential: await credential(), ...question });
    expect(refused).toMatchObject({ code, reached: "no" });
    expect([fields.get("content-type"), fields.get("cache-control")]).toEqual([
      "application/problem+json",
      "no-store",
    ]);
  });

  test("nothing is granted beyond the token's own targets", async () => {
    const used = await credential({ allow: ["https://api.example.com", "tcp://db2.example.com:5432"] });
    for (const target of [DB, "tcp://db2.example.com:5432"]) {
      expect((await ask({ credential: used, target })).refused).toMatchObject({ code: "target_not_allowed" });
    }
  });

  test("a node that the token does not name gets nothing, and is told which would", async () => {
    const used = await credential({ node: ["node-2", "node-3"] });
    const { refused } = await ask({ credential: used });
    expect(refused).toMatchObject({
      code: "node_unknown",
      detail: expect.stringMatching(/use node-2, node-3$/),
    });
    expect((await ask({ credential: used }, { node: "node-2" })).grant).toMatchObject({ aud: "node-2" });
  });

  test("nor does one outside the client's pool", async () => {
    const id = `pool-${kind.replace(" ", "-")}`;
    const used = await credential({}, await newClient(id, { pool: ["node-3"] }));
    const { refused } = await ask({ user: id, credential: used });
    expect(refused).toMatchObject({ code: "node_unknown", detail: expect.stringMatching(/use node-3$/) });
    expect((await ask({ user: id, credential: used }, { node: "node-3" })).grant).toMatchObject({ sub: id });
  });

  test("what is for streams opens no proxy, and what is for proxies no stream", async () => {
    const stream = await credential({ act: "stream", allow: [DB] });
    expect((await ask({ credential: stream })).refused).toMatchObject({ code: "token_act" });
    const path = `/stream/${await credential()}?address=db.example.com:5432`;
    expect((await openSocket(pool.edge, { path })).refused).toMatchObject({ code: "token_act" });
  });
});

describe("credentials that are refused", () => {
  const sign = async (claims: object) =>
    signToken(
      "scope",
      {
        iss: "app",
        aud: pool.edge,
        act: "proxy",
        iat: now(),
        exp: now() + HOUR,
        jti: newRequestId(),
        allow: ALLOW,
        ...claims,
      },
      await importPrivateKey(new URL(pool.relayUrl).password),
    );
  const strangers = async () => {
    const { privateKey } = await generateClientKey();
    return scopeToken({}, pool.edge.replace("//", `//app:${privateKey}@`));
  };
  test.each<[what: string, code: ErrorCode, credential: () => Promise<string>]>([
    ["nothing", "token_malformed", () => Promise.resolve("")],
    ["a word", "token_malformed", () => Promise.resolve("secret")],
    ["a request token", "token_type", () => streamToken(pool.relayUrl, DB)],
    ["another door's scope", "token_act", () => sign({ act: "stream" })],
    ["another edge's", "token_audience", () => sign({ aud: "https://other.example.com" })],
    ["one that expired", "token_expired", () => sign({ iat: now() - 2 * HOUR, exp: now() - HOUR })],
    ["one to come", "token_premature", () => sign({ iat: now() + HOUR, exp: now() + 2 * HOUR })],
    ["91 days", "token_lifetime", () => sign({ exp: now() + 91 * 86_400 })],
    ["no targets", "token_malformed", () => sign({ allow: [] })],
    ["a target that can't be parsed", "request_invalid", () => sign({ allow: [...ALLOW, "tcp://*:1"] })],
    ["an unknown client's", "client_unknown", () => sign({ iss: "nobody" })],
    ["a node that there isn't", "node_unknown", () => sign({ node: "node-9" })],
    ["a stranger's", "token_signature", strangers],
    ["a handle that nobody made", "handle_unknown", () => Promise.resolve(`hf_${"A".repeat(32)}`)],
  ])("%s: %s", async (_what, code, credential) => {
    const { refused } = await askEdge(pool, { credential: await credential(), target: DB });
    expect(refused).toMatchObject({ code, reached: "no" });
  });

  test("a token in the seconds of leeway after its end gives a grant that ends with it", async () => {
    const exp = now() - 1;
    const { grant } = await ask({ credential: await sign({ iat: now() - HOUR, exp }) });
    expect(grant!.exp).toBe(exp);
  });

  test("more paths than a grant holds", async () => {
    const long = Array.from({ length: 190 }, (_, i) => `${LEGACY}/${i}/${"x".repeat(280)}`);
    const relayUrl = await newClient("long", { allow: long });
    const credential = await scopeToken({ allow: [LEGACY] }, relayUrl);
    const { refused } = await ask({ user: "long", credential, target: LEGACY });
    expect(refused).toMatchObject({
      code: "request_invalid",
      detail: expect.stringMatching(/a grant holds/),
    });
  });
});

describe("a node", () => {
  const question = JSON.stringify({ credential: `hf_${"A".repeat(32)}`, target: DB });
  const message = (changes?: Parameters<typeof nodeMessage>[2]) => nodeMessage(pool, question, changes);
  test.each<[what: string, authorization: () => Promise<string | null>, told: RegExp]>([
    ["no message", () => Promise.resolve(null), /token_missing/],
    ["a message that is none", () => Promise.resolve("Bearer x"), /token_malformed/],
    ["another node's signature", () => message({ signer: "node-2" }), /token_signature/],
    ["a name that is not configured", () => message({ node: "node-9", signer: "node-1" }), /token_signature/],
    ["a client's scope token", async () => `Bearer ${await scopeToken()}`, /token_type/],
    ["a message to a node", () => message({ to: "node-1" }), /token_audience/],
    ["a message to another edge", () => message({ to: "https://other.example.com" }), /token_audience/],
    ["a message of another purpose", () => message({ act: "consumed" }), /token_act/],
    ["an expired message", () => message({ at: now() - 60 }), /token_expired/],
    ["a message to come", () => message({ at: now() + 60 }), /token_premature/],
  ])("is not believed with %s", async (_what, authorization, told) => {
    const { refused } = await askEdge(pool, question, { authorization: await authorization() });
    expect(refused).toMatchObject({
      code: "node_unproven",
      reached: "no",
      detail: expect.stringMatching(told),
    });
  });

  test("is not believed any more when it left the configuration", async () => {
    const credential = await scopeToken();
    expect((await ask({ credential }, { node: "node-3" })).grant).toBeDefined();
    await pool.restartEdge(["node-1", "node-2"]);
    expect((await ask({ credential }, { node: "node-3" })).refused).toMatchObject({ code: "node_unproven" });
    expect((await ask({ credential })).grant).toBeDefined();
    await pool.restartEdge();
  });

  const large = "x".repeat(PROXY_QUESTION_MAX_BYTES + 1);
  const chunked = () =>
    new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(large));
        controller.close();
      },
    });
  test.each<[what: string, code: ErrorCode, question: string, body?: () => RequestInit["body"]]>([
    ["that was changed on the way", "body_digest", question, () => question.replace("db.", "d2.")],
    ["that is cut", "body_digest", question, () => question.slice(0, -1)],
    ["that is too long", "too_large", large],
    ["that is too long and does not say so", "too_large", large, chunked],
    ["of nothing", "request_invalid", ""],
    ["that is no JSON", "request_invalid", "{"],
    ["that is no object", "request_invalid", "null"],
    ["without a credential", "request_invalid", JSON.stringify({ user: "app", target: DB })],
    ["without a target", "request_invalid", JSON.stringify({ user: "app", credential: "x" })],
    ["whose user is null", "request_invalid", JSON.stringify({ user: null, credential: "x", target: DB })],
    [
      "with more than belongs there",
      "request_invalid",
      JSON.stringify({ credential: "x", target: DB, a: 1 }),
    ],
  ])("asks in vain with a body %s: %s", async (_what, code, text, body) => {
    const { refused } = await askEdge(pool, text, body === undefined ? {} : { body: body() });
    expect(refused).toMatchObject({ code, reached: "no" });
  });

  test("is not charged for its users, nor shut out by strangers at its address", async () => {
    const fields = { "x-test-address": "203.0.113.9" };
    const invented = () => ask({ credential: `hf_${newRequestId()}AAAAAAAAAA` }, { fields });
    for (let i = 0; i < FAILED_TOKENS_BURST + 5; i++) {
      expect((await invented()).refused).toMatchObject({ code: "handle_unknown" });
    }
    const strangers = async () =>
      (await askEdge(pool, question, { authorization: "Bearer x", fields })).refused!.code;
    expect(await strangers()).toBe("node_unproven");
    for (let i = 0; (await strangers()) !== "rate_limited"; i++) {
      expect(i).toBeLessThan(10 * FAILED_TOKENS_BURST);
    }
    expect((await ask({ credential: await scopeToken() }, { fields })).grant).toBeDefined();
  });
});

test("anybody is told where the proxies are", async () => {
  const answer = await fetch(`${pool.edge}/.well-known/proxy.json`);
  expect(await answer.json()).toEqual({ proxies: PROXY_URLS });
  expect(answer.headers.get("cache-control")).toBe("public, max-age=60");
});

test("a revoked handle is refused once the isolate has forgotten it", async () => {
  const { id, handle } = await newHandle(await scopeToken());
  expect((await ask({ credential: handle })).grant).toBeDefined();
  await adminCall(pool.operator, "DELETE", `/admin/handles/${id}`);
  // A warm isolate does not ask the registry.
  expect((await ask({ credential: handle })).grant).toBeDefined();
  const end = Date.now() + 30_000;
  for (;;) {
    const { refused } = await ask({ credential: handle });
    if (refused?.code === "handle_unknown") break;
    expect(refused).toBeUndefined();
    expect(Date.now()).toBeLessThan(end);
    await pause(500);
  }
}, 60_000);
