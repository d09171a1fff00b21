import { setTimeout as pause } from "node:timers/promises";
import { decodeJwt } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { createScopeToken, type ScopeOptions } from "../../client/index.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { REVOCATIONS_PAGE_MAX } from "../../protocol/limits.ts";
import { ruleId } from "../../worker/issuers.ts";
import { askEdge, nodeMessage } from "../support/asking-node.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { takesStream } from "../support/fake-stream.ts";
import {
  addClient,
  allRevocations,
  askRevocations,
  auditOf,
  type MadeClient,
  thumbprintOf,
} from "../support/operator-calls.ts";
import { openRegistry } from "../support/registry-file.ts";
import { openSocket, streamToken } from "../support/stream-caller.ts";

const DB = "tcp://db.example.com:5432";
const HOUR = 3_600;
let pool: FakePool;
/** None of it may be in the edge's log. */
const secrets: string[] = [];

beforeAll(async () => {
  pool = await startFakePool(1, [DB], { CLIENT_ADDRESS_HEADER: "x-test-address" });
  pool.nodes[0]!.upgrade = takesStream(() => {});
});
afterEach(() => {
  for (const secret of secrets) expect(pool.log()).not.toContain(secret);
});
afterAll(() => pool.stop());

const now = () => Math.floor(Date.now() / 1_000);
const call = (method: "GET" | "PUT" | "POST" | "DELETE", path: string, body?: unknown, ifMatch?: string) =>
  adminCall(pool.operator, method, path, { body, ifMatch });
const add = (id: string, more: object = {}) => addClient(pool.operator, id, { allow: [DB], ...more });

async function scopeToken(relayUrl: string, options: Partial<ScopeOptions> = {}): Promise<string> {
  const token = await createScopeToken(relayUrl, {
    act: "stream",
    allow: [DB],
    ttlSeconds: HOUR,
    ...options,
  });
  secrets.push(token.split(".")[1]!.slice(0, 40));
  return token;
}

async function newHandle(token: string): Promise<{ id: string; handle: string }> {
  const { value } = await call("POST", "/admin/handles", { token });
  return value as { id: string; handle: string };
}

/** The code of the refusal, where there is one. */
async function opened(credential: string): Promise<string | undefined> {
  const { socket, refused } = await openSocket(pool.edge, {
    path: `/stream/${credential}?address=db.example.com:5432`,
  });
  socket?.close();
  return refused?.code;
}

async function openedBy(relayUrl: string): Promise<string | undefined> {
  const headers = { "Relay-Authorization": `Bearer ${await streamToken(relayUrl, DB)}` };
  const { socket, refused } = await openSocket(pool.edge, { headers });
  socket?.close();
  return refused?.code;
}

/** Waits for an answer; how long it took, in milliseconds. */
async function until(ask: () => Promise<string | undefined>, wanted: string): Promise<number> {
  const began = performance.now();
  for (;;) {
    const got = await ask();
    if (got === wanted) return performance.now() - began;
    if (performance.now() - began > 15_000) expect.fail(`${got} never became ${wanted}`);
    await pause(250);
  }
}

/** What was revoked of one client, in order. */
async function revokedOf(client: string) {
  const entries = await allRevocations(pool);
  return entries.filter((one) => one.client === client).map(({ kind, id }) => [kind, id]);
}

describe("a node is told", () => {
  test("what was revoked, each by its kind, and where to go on", async () => {
    const shop = await add("told");
    const { next: before } = await askRevocations(pool);
    const { id: handle } = await newHandle(await scopeToken(shop.relayUrl));
    await call("DELETE", `/admin/handles/${handle}`);
    const jti = newRequestId();
    await call("POST", "/admin/revocations", { client: "told", token: jti });
    const { publicJwk } = await generateClientKey();
    await call("PUT", "/admin/clients/told", { id: "told", keys: [publicJwk], allow: [] }, '"1"');
    await call("DELETE", "/admin/clients/told", undefined, "*");
    const { next, entries } = await askRevocations(pool, before);
    expect(entries.map(({ kind, client, id }) => [kind, client, id])).toEqual([
      ["handle", "told", handle],
      ["token", "told", jti],
      ["key", "told", await thumbprintOf(shop.publicJwk)],
      ["client", "told", "told"],
    ]);
    expect(entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4].map((n) => before + n));
    for (const { at } of entries) expect(Math.abs(at - now())).toBeLessThan(30);
    expect(next).toBe(before + 4);
    expect(await askRevocations(pool, next)).toEqual({ next, entries: [] });
    expect((await askRevocations(pool)).entries.slice(-4)).toEqual(entries);
    // A registry that was set back doesn't know the number: the node hears what is new.
    expect((await askRevocations(pool, next + 100)).entries.slice(-4)).toEqual(entries);
  });

  test("nothing of changes that revoke nothing", async () => {
    const { publicJwk } = await add("kept");
    const keys = [publicJwk, (await generateClientKey()).publicJwk, { ...publicJwk, exp: now() + HOUR }];
    await call("PUT", "/admin/clients/kept", { id: "kept", keys: keys.slice(0, 2), allow: [] }, '"1"');
    await call("PUT", "/admin/clients/kept", { id: "kept", keys: keys.slice(1), allow: [] }, '"2"');
    expect(await revokedOf("kept")).toEqual([]);
  });

  const message = (changes?: Parameters<typeof nodeMessage>[2]) =>
    nodeMessage(pool, "", { act: "revocations", ...changes });
  test.each<[what: string, authorization: () => Promise<string | null>, code?: ErrorCode]>([
    ["no message", () => Promise.resolve(null)],
    ["a message that is none", () => Promise.resolve("Bearer x")],
    ["a stranger", () => message({ node: "node-9", signer: "node-1" })],
    ["a message of another purpose", () => message({ act: "authorize" })],
    ["a message to a node", () => message({ to: "node-1" })],
    ["an expired message", () => message({ at: now() - 60 })],
    ["a client", async () => `Bearer ${await scopeToken(pool.relayUrl)}`],
    ["a body's digest", () => nodeMessage(pool, "x", { act: "revocations" }), "body_digest"],
  ])("but not %s", async (_what, authorization, code = "node_unproven") => {
    await expect(askRevocations(pool, 0, await authorization())).rejects.toMatchObject({ code });
  });

  test.each(["x", "-1", "1.5", "", "9".repeat(16)])("and after=%s is no number", async (after) => {
    await expect(askRevocations(pool, after)).rejects.toMatchObject({ code: "request_invalid" });
  });

  test("all of many, page by page, and none that is over", async () => {
    const { next: before } = await askRevocations(pool);
    await pool.restartEdge(undefined, (storage) => {
      const database = openRegistry(storage);
      const insert = database.prepare(
        "INSERT INTO revocations (at, kind, client, id, expires) VALUES (?, 'token', 'many', ?, ?)",
      );
      database.exec("BEGIN");
      for (let i = 0; i < REVOCATIONS_PAGE_MAX + 5; i++) {
        const expires = now() + (i < 3 ? -1 : HOUR);
        insert.run(now() - 1_000, `t${i}`, expires);
      }
      database.exec("COMMIT");
      database.close();
    });
    const first = await askRevocations(pool, before);
    expect(first.entries).toHaveLength(REVOCATIONS_PAGE_MAX);
    const second = await askRevocations(pool, first.next);
    expect(second.entries.map(({ id }) => id)).toEqual(
      [0, 1, 2, 3, 4].map((n) => `t${REVOCATIONS_PAGE_MAX + n}`),
    );
    // They are older than what a node hears that asks for the first time.
    expect((await askRevocations(pool)).entries.filter(({ client }) => client === "many")).toEqual([]);
    await call("POST", "/admin/revocations", { client: "app", token: newRequestId() });
    expect((await askRevocations(pool, before)).entries[0]).toMatchObject({ id: "t3" });
  });
});

// They wait for what an isolate remembers to grow old: side by side.
describe.concurrent("a revoked scope token", () => {
  test.each([
    ["by its id", (jti: string) => ({ client: "by-id", token: jti }), "by-id"],
    ["by itself", (_jti: string, token: string) => ({ token }), "by-token"],
  ] as const)(
    "%s opens nothing within 10 s, nor do its handles",
    async (_what, body, id) => {
      const { relayUrl } = await add(id);
      const [token, other] = [await scopeToken(relayUrl), await scopeToken(relayUrl)];
      const [{ handle, id: handleId }, kept] = [await newHandle(token), await newHandle(other)];
      expect([await opened(token), await opened(handle)]).toEqual([undefined, undefined]);
      const { jti, exp } = decodeJwt(token);
      const { value } = await call("POST", "/admin/revocations", body(jti!, token));
      const expires = id === "by-token" ? exp : null;
      expect(value).toEqual({ client: id, token: jti, expires });
      expect(await until(() => opened(token), "token_revoked")).toBeLessThan(11_000);
      expect(await until(() => opened(handle), "handle_unknown")).toBeLessThan(11_000);
      expect([await opened(other), await opened(kept.handle)]).toEqual([undefined, undefined]);
      await expect(newHandle(token)).rejects.toMatchObject({ code: "token_revoked" });
      // A second time changes nothing.
      await call("POST", "/admin/revocations", body(jti!, token));
      expect(await revokedOf(id)).toEqual([
        ["token", jti],
        ["handle", handleId],
      ]);
      expect((await auditOf(pool.operator, id))[0]).toMatchObject({
        action: "token.revoke",
        subject: jti,
        by: "operator",
        detail: { expires, handles: [handleId] },
      });
    },
    60_000,
  );

  test("opens no proxy, and no handle is made of it at once", async () => {
    const { relayUrl } = await add("proxied");
    const token = await scopeToken(relayUrl, { act: "proxy" });
    const ask = async () => (await askEdge(pool, { credential: token, target: DB })).refused?.code;
    expect(await ask()).toBeUndefined();
    await call("POST", "/admin/revocations", { token });
    // The isolate still takes it for good; the registry doesn't.
    await expect(newHandle(token)).rejects.toMatchObject({ code: "token_revoked" });
    expect(await until(ask, "token_revoked")).toBeLessThan(11_000);
  }, 60_000);

  test("is revoked also where its key is gone, so that its streams end", async () => {
    const { relayUrl } = await add("keyless-now");
    const token = await scopeToken(relayUrl, { now: () => Date.now() - 2 * HOUR * 1_000 });
    const { publicJwk } = await generateClientKey();
    await call("PUT", "/admin/clients/keyless-now", { id: "keyless-now", keys: [publicJwk], allow: [] }, "*");
    await call("POST", "/admin/revocations", { token });
    expect((await revokedOf("keyless-now")).at(-1)).toEqual(["token", decodeJwt(token).jti]);
  });

  const JTI = newRequestId();
  const forged = (claims: object, typ = "holdfast-scope+jwt") => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    return `${part({ alg: "Ed25519", typ })}.${part(claims)}.AAAA`;
  };
  const claims = (changes: object = {}) => ({ iss: "app", aud: pool.edge, jti: JTI, exp: 1, ...changes });
  test.each<[what: string, code: ErrorCode, body: () => unknown]>([
    ["nothing", "request_invalid", () => ({})],
    ["no object", "request_invalid", () => null],
    ["no client beside an id", "request_invalid", () => ({ token: JTI })],
    ["a client's id that is none", "request_invalid", () => ({ client: "App", token: JTI })],
    ["more than that", "request_invalid", () => ({ client: "app", token: JTI, more: 1 })],
    ["a number", "request_invalid", () => ({ client: "app", token: 1 })],
    ["an unknown client", "not_found", () => ({ client: "nobody", token: JTI })],
    ["an unknown client's token", "not_found", () => ({ token: forged(claims({ iss: "nobody" })) })],
    ["a word", "token_malformed", () => ({ client: "app", token: "word" })],
    ["a token without an id", "token_malformed", () => ({ token: forged(claims({ jti: 1 })) })],
    ["a token without an end", "token_malformed", () => ({ token: forged(claims({ exp: "1" })) })],
    ["a token without a client", "token_malformed", () => ({ token: forged(claims({ iss: undefined })) })],
    ["another client's token", "request_invalid", () => ({ client: "other", token: forged(claims()) })],
    ["another edge's token", "token_audience", () => ({ token: forged(claims({ aud: "https://x.test" })) })],
    ["a request token", "token_type", () => ({ token: forged(claims(), "holdfast-request+jwt") })],
  ])("can't be named by %s: %s", async (_what, code, body) => {
    await expect(call("POST", "/admin/revocations", body())).rejects.toMatchObject({ code });
  });
});

describe.concurrent("a key with an end", () => {
  test("verifies nothing from then on, and nodes are told, though nobody wrote anything", async () => {
    const { publicJwk, privateKey } = await generateClientKey();
    const exp = now() + 3;
    const shop = await add("ending", { keys: [{ ...publicJwk, exp }] });
    const relayUrl = pool.edge.replace("//", `//ending:${privateKey}@`);
    const { handle } = await newHandle(await scopeToken(relayUrl));
    const token = await scopeToken(relayUrl);
    expect([await openedBy(relayUrl), await opened(token), await opened(handle)]).toEqual(
      Array.from({ length: 3 }),
    );
    expect(await revokedOf(shop.id)).toEqual([]);
    await pause(exp * 1_000 - Date.now());
    // At once: no memory of an isolate's stands in between.
    expect([await openedBy(relayUrl), await opened(token), await opened(handle)]).toEqual([
      "token_signature",
      "token_signature",
      "handle_unknown",
    ]);
    const entries = await allRevocations(pool);
    const ended = { kind: "key", client: "ending", id: await thumbprintOf(publicJwk), at: exp };
    expect(entries.filter(({ client }) => client === "ending")).toMatchObject([ended]);
    // That the record is written without it is no news.
    await call("PUT", "/admin/clients/ending", { id: "ending", keys: [shop.publicJwk], allow: [] }, '"1"');
    expect(await revokedOf(shop.id)).toHaveLength(1);
  });

  test("goes on beside the next one until then", async () => {
    const one = await add("rotating");
    const two = await generateClientKey();
    const keys = [{ ...one.publicJwk, exp: now() + HOUR }, two.publicJwk];
    await call("PUT", "/admin/clients/rotating", { id: "rotating", keys, allow: [DB] }, '"1"');
    const second = pool.edge.replace("//", `//rotating:${two.privateKey}@`);
    expect([await openedBy(one.relayUrl), await openedBy(second)]).toEqual([undefined, undefined]);
  });

  test("that is past when it is written is revoked now", async () => {
    const { publicJwk } = await add("past");
    const keys = [{ ...publicJwk, exp: 1 }];
    await call("PUT", "/admin/clients/past", { id: "past", keys, allow: [] }, '"1"');
    expect(await revokedOf("past")).toEqual([["key", await thumbprintOf(publicJwk)]]);
  });

  test.each([
    ["text", "x"],
    ["a fraction", 1.5],
    ["nothing", null],
    ["a time before 1970", -1],
  ])("must be in whole seconds, not %s", async (_what, exp) => {
    const { publicJwk } = await generateClientKey();
    const body = { id: "odd", keys: [{ ...publicJwk, exp }], allow: [] };
    await expect(call("PUT", "/admin/clients/odd", body)).rejects.toMatchObject({
      code: "request_invalid",
      detail: expect.stringContaining("keys.0.exp"),
    });
  });
});

test("keys of records from before they were noted are revoked like others", async () => {
  const made: MadeClient[] = [await add("older"), await add("older-unread")];
  await pool.restartEdge(undefined, (storage) => {
    const database = openRegistry(storage);
    database.exec("DROP TABLE client_keys");
    database
      .prepare("UPDATE clients SET record = ? WHERE id = 'older-unread'")
      .run(JSON.stringify({ id: "older-unread", keys: [{ kty: "OKP", crv: "Ed25519" }], allow: [] }));
    database.close();
  });
  const { publicJwk } = await generateClientKey();
  await call("PUT", "/admin/clients/older", { id: "older", keys: [publicJwk], allow: [] }, '"1"');
  expect(await revokedOf("older")).toEqual([["key", await thumbprintOf(made[0]!.publicJwk)]]);
});

test("rules of records from before they were noted are revoked like others", async () => {
  const issuers = [{ issuer: "github", claims: { repository: "acme/shop" } }];
  await add("older-rule", { issuers });
  await pool.restartEdge(undefined, (storage) => {
    const database = openRegistry(storage);
    database.exec("DROP TABLE client_rules");
    database.close();
  });
  const { publicJwk } = await generateClientKey();
  await call("PUT", "/admin/clients/older-rule", { id: "older-rule", keys: [publicJwk], allow: [] }, '"1"');
  expect(await revokedOf("older-rule")).toContainEqual(["rule", await ruleId(issuers[0]!)]);
});
