import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RequestClaims } from "../../protocol/claims.ts";
import { createScopeToken } from "../../client/index.ts";
import { type ErrorCode, RelayError } from "../../protocol/errors.ts";
import { deriveGrantKey, verifyGrant } from "../../protocol/grants.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { grantVerifier } from "../../relay-node/grant-verifier.ts";
import { rankNodes } from "../../worker/nodes.ts";
import { type FakePool, fails, startFakePool } from "../support/fake-pool.ts";
import { requestToken } from "../support/raw-caller.ts";
import { openAt, streamToken } from "../support/stream-caller.ts";

const DB = "tcp://db.example.com:5432";
let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(5, [DB, "https://paths.example.com/v1/*"]);
});
afterAll(() => pool.stop());

interface Granted {
  readonly node: string;
  readonly url: string;
  readonly grant: string;
}

async function post(authorization: string | undefined, method = "POST") {
  const answer = await fetch(`${pool.edge}/grants`, {
    method,
    headers: authorization === undefined ? {} : { "Relay-Authorization": authorization },
  });
  const text = await answer.text();
  const code = answer.headers.get("relay-error");
  const said = JSON.parse(text) as { readonly grants: readonly Granted[] };
  return { answer, said, code, grants: code === null ? said.grants : [] };
}

const ask = async (claims: Partial<RequestClaims> = {}, url = DB) =>
  post(`Bearer ${await streamToken(pool.relayUrl, url, claims)}`);

/** What a node makes of a grant that a client brings. */
async function proven({ node, grant }: Granted) {
  const master = Uint8Array.from(Buffer.from(pool.keys.grantMasterKey, "base64url"));
  const keys = [grantVerifier(await deriveGrantKey(master, node))];
  const now = Math.floor(Date.now() / 1_000);
  return verifyGrant(`Bearer ${grant}`, { edge: pool.edge, nodeId: node, keys, now }, "stream");
}

describe("grants for a client that goes to a node itself", () => {
  test("are for the first three nodes, in their order, tries of one pass", async () => {
    const jti = newRequestId();
    const { answer, grants, said } = await ask({ jti });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(Object.keys(said)).toEqual(["grants"]);
    const order = rankNodes(pool.nodes, jti).slice(0, 3);
    expect(grants.map(({ node }) => node)).toEqual(order.map(({ id }) => id));
    const claims = await Promise.all(grants.map((one) => proven(one)));
    expect(claims.map(({ attempt }) => attempt)).toEqual([0, 1, 2]);
    expect(new Set(claims.map(({ pass }) => pass)).size).toBe(1);
    for (const one of claims) {
      expect(one).toMatchObject({ sub: "app", act: "stream", htm: "GET", url: DB, framing: "none", jti });
      // Of five nodes.
      expect(one.limits).toMatchObject({ streams: 200 });
      expect(one).not.toHaveProperty("resume");
    }
    for (const { url, ...rest } of grants) {
      expect(url).toMatch(/^https:\/\/localhost:\d+$/);
      expect(Object.keys(rest)).toEqual(["node", "grant"]);
    }
    expect(new Set(grants.map(({ url }) => url)).size).toBe(3);
  });

  test("are for the nodes that the token names", async () => {
    const { grants } = await ask({ node: ["node-2", "node-4"] });
    expect(grants.map(({ node }) => node).toSorted()).toEqual(["node-2", "node-4"]);
  });

  test("say where a stream goes on, at its own node", async () => {
    const resume = { stream: newRequestId(), received: 7, sent: 5 };
    const { grants } = await ask({ resume, node: "node-3" });
    expect(grants.map(({ node }) => node)).toEqual(["node-3"]);
    expect(await proven(grants[0]!)).toMatchObject({ resume, attempt: 0 });
  });

  test("ask no node", async () => {
    const before = pool.nodes.map(({ heads }) => heads);
    await ask();
    expect(pool.nodes.map(({ heads }) => heads)).toEqual(before);
  });

  test("leave a node that is down for last", async () => {
    const down = pool.nodes[4]!;
    down.answer = fails(new RelayError("node_draining", "it drains"));
    down.health = () => [503, { status: "draining", node: down.id }];
    // A request finds out, and its isolate remembers.
    await openAt(pool, { nodes: [down], url: DB });
    for (let i = 0; i < 5; i++) {
      const { grants } = await ask();
      expect(grants).toHaveLength(3);
      expect(grants.map(({ node }) => node)).not.toContain(down.id);
    }
    const { grants } = await ask({ node: [down.id, "node-1"] });
    expect(grants.map(({ node }) => node)).toEqual(["node-1", down.id]);
  });
});

test("where no proxy is configured, none is told", async () => {
  const answer = await fetch(`${pool.edge}/.well-known/proxy.json`);
  expect(await answer.json()).toEqual({ proxies: [] });
});

describe("refused", () => {
  const resume = { stream: newRequestId(), received: 0, sent: 0 };
  test.each<[what: string, code: ErrorCode, claims: Partial<RequestClaims>, url?: string]>([
    ["another target", "target_not_allowed", {}, "tcp://evil.example.com:5432"],
    ["a target that is limited to a path", "target_not_allowed", {}, "tcp://paths.example.com:443"],
    ["an https URL", "url_invalid", {}, "https://paths.example.com/v1/x"],
    ["another method", "token_method", { htm: "POST" }],
    ["a body", "token_framing", { framing: 5 }],
    ["the act of another door", "token_act", { act: "fetch" }],
    ["another edge's token", "token_audience", { aud: "https://other.example.com" }],
    ["an unknown client's", "client_unknown", { iss: "nobody" }],
    ["an expired token", "token_expired", { iat: 1_767_225_600, exp: 1_767_225_660 }],
    ["a resume that names no node", "request_invalid", { resume }],
    ["a resume that names two", "request_invalid", { resume, node: ["node-1", "node-2"] }],
    ["a node that there isn't", "node_unknown", { node: "node-99" }],
  ])("%s: %s", async (_what, code, claims, url) => {
    const { code: told, answer } = await ask(claims, url);
    expect([told, answer.headers.get("relay-reached")]).toEqual([code, "no"]);
  });

  test("no token, a token of another kind, and another method", async () => {
    expect((await post(undefined)).code).toBe("token_missing");
    const scope = await createScopeToken(pool.relayUrl, { act: "stream", allow: [DB], ttlSeconds: 60 });
    expect((await post(`Bearer ${scope}`)).code).toBe("token_type");
    const fetched = await requestToken(pool.relayUrl, { htm: "GET", url: "https://paths.example.com/v1/x" });
    expect((await post(`Bearer ${fetched}`)).code).toBe("token_act");
    expect((await post(`Bearer ${await streamToken(pool.relayUrl, DB)}`, "GET")).code).toBe("not_found");
  });
});
