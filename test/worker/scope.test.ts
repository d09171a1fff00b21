import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { createScopeToken, type ScopeOptions } from "../../client/index.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import type { GrantClaims } from "../../protocol/grants.ts";
import { generateClientKey, importPrivateKey } from "../../protocol/keys.ts";
import { STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { newRequestId, signToken } from "../../protocol/tokens.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { takesStream } from "../support/fake-stream.ts";
import { openSocket, streamToken } from "../support/stream-caller.ts";

const ALLOW = ["tcp://db.example.com:5432", "tcp://*.vendor.io:5432", "tcp://[2001:db8::1]:5432"];
const HOUR = 3_600;
let pool: FakePool;
let grants: GrantClaims[] = [];
const offered: (string | undefined)[] = [];
/** No part of a path may be in the edge's log. */
const secrets: string[] = [];

beforeAll(async () => {
  pool = await startFakePool(2, ALLOW);
  const echo = takesStream((socket, grant) => {
    grants.push(grant);
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  for (const node of pool.nodes) {
    node.upgrade = (request, ...rest) => {
      offered.push(request.headers["sec-websocket-protocol"]);
      echo(request, ...rest);
    };
  }
});
afterEach(() => {
  grants = [];
  offered.length = 0;
  for (const secret of secrets) expect(pool.log()).not.toContain(secret);
});
afterAll(() => pool.stop());

async function scopeToken(options: Partial<ScopeOptions> = {}, relayUrl = pool.relayUrl): Promise<string> {
  const token = await createScopeToken(relayUrl, {
    act: "stream",
    allow: ALLOW,
    ttlSeconds: HOUR,
    ...options,
  });
  secrets.push(token.split(".")[1]!.slice(0, 40));
  return token;
}

function open(credential: string, query = "?address=db.example.com:5432", protocols: readonly string[] = []) {
  return openSocket(pool.edge, { path: `/stream/${credential}${query}`, protocols });
}

async function newHandle(
  token: string,
): Promise<{ id: string; handle: string; client: string; expires: number }> {
  const { value } = await adminCall(pool.operator, "POST", "/admin/handles", { body: { token } });
  const made = value as Awaited<ReturnType<typeof newHandle>>;
  secrets.push(made.handle);
  return made;
}

/** Registers another client. */
async function newClient(id: string, more: object = {}, ifMatch?: string) {
  const { publicJwk, privateKey } = await generateClientKey();
  const body = { id, keys: [publicJwk], allow: ALLOW, ...more };
  await adminCall(pool.operator, "PUT", `/admin/clients/${id}`, { body, ifMatch });
  return { relayUrl: pool.edge.replace("//", `//${id}:${privateKey}@`), publicJwk };
}

async function areUnknown(...handles: readonly string[]): Promise<boolean> {
  const openings = await Promise.all(handles.map((handle) => open(handle)));
  for (const { socket } of openings) socket?.close();
  return openings.every(({ refused }) => refused?.code === "handle_unknown");
}

/** Waits until the isolate has forgotten what it knew: it asks again after 10 s. */
async function until(condition: () => Promise<boolean>): Promise<true> {
  const end = Date.now() + 30_000;
  while (!(await condition())) {
    expect(Date.now()).toBeLessThan(end);
    await pause(500);
  }
  return true;
}

describe.each(["scope token", "handle"] as const)("a %s", (kind) => {
  const credential = async (options?: Partial<ScopeOptions>) => {
    const token = await scopeToken(options);
    return kind === "handle" ? (await newHandle(token)).handle : token;
  };

  test("opens bare streams, each under a grant and an id of its own", async () => {
    const used = await credential();
    for (const message of [Buffer.from([0, 255]), "text"]) {
      const { socket, inbox } = await open(used);
      expect(socket!.protocol).toBe("");
      socket!.send(message);
      expect(await inbox!.next()).toEqual(message);
      socket!.close();
    }
    expect(offered).toEqual([undefined, undefined]);
    expect(grants).toHaveLength(2);
    const now = Math.floor(Date.now() / 1_000);
    for (const { act, htm, url, framing, sub, tat } of grants) {
      expect([act, htm, url, framing, sub]).toEqual([
        "stream",
        "GET",
        "tcp://db.example.com:5432",
        "none",
        "app",
      ]);
      expect(Math.abs(now - tat)).toBeLessThan(30);
    }
    expect(grants[0]!.jti).not.toBe(grants[1]!.jti);
  });

  test("opens streams with the protocol where it is offered", async () => {
    const { socket } = await open(await credential(), undefined, [STREAM_PROTOCOL]);
    expect(socket!.protocol).toBe(STREAM_PROTOCOL);
    socket!.close();
  });

  test("takes addresses in brackets, and names in any case", async () => {
    const used = await credential();
    for (const address of ["[2001:db8::1]:5432", "%5B2001:db8::1%5D%3A5432", "a.VENDOR.io:5432"]) {
      const { socket } = await open(used, `?address=${address}`);
      expect(socket).toBeDefined();
      socket!.close();
    }
    expect(grants.map(({ url }) => url)).toEqual([
      "tcp://[2001:db8::1]:5432",
      "tcp://[2001:db8::1]:5432",
      "tcp://a.vendor.io:5432",
    ]);
  });

  test("is held to the nodes that it names", async () => {
    const used = await credential({ node: "node-2" });
    for (let i = 0; i < 5; i++) (await open(used)).socket!.close();
    expect(new Set(grants.map(({ aud }) => aud))).toEqual(new Set(["node-2"]));
  });

  test.each<[what: string, query: string, code: ErrorCode]>([
    ["no address", "", "request_invalid"],
    ["two addresses", "?address=db.example.com:5432&address=db.example.com:5432", "request_invalid"],
    ["no port", "?address=db.example.com", "url_invalid"],
    ["no host", "?address=:5432", "url_invalid"],
    ["a path", "?address=db.example.com:5432/x", "url_invalid"],
    ["user info", "?address=x@db.example.com:5432", "url_invalid"],
    ["a host that is not canonical", "?address=0x7f.1:5432", "url_invalid"],
    ["a port that is none", "?address=db.example.com:65536", "url_invalid"],
    ["another port", "?address=db.example.com:5433", "target_not_allowed"],
    ["another host", "?address=evil.example.com:5432", "target_not_allowed"],
  ])("opens nothing for %s: %s", async (_what, query, code) => {
    const { refused, fields } = await open(await credential(), query);
    expect(refused).toMatchObject({ code, reached: "no" });
    expect(fields["content-type"]).toBe("application/problem+json");
    expect(grants).toEqual([]);
  });

  test("opens nothing that the client itself may not reach", async () => {
    const used = await credential({ allow: ["tcp://db.example.com:5432", "tcp://other.example.com:5432"] });
    expect((await open(used, "?address=other.example.com:5432")).refused).toMatchObject({
      code: "target_not_allowed",
    });
    const { socket } = await open(used);
    expect(socket).toBeDefined();
    socket!.close();
  });

  test("opens nothing beyond its own targets", async () => {
    const used = await credential({ allow: ["tcp://a.vendor.io:5432"] });
    expect((await open(used)).refused).toMatchObject({ code: "target_not_allowed" });
    (await open(used, "?address=a.vendor.io:5432")).socket!.close();
  });

  test("is no word of a refusal, and of a route that there isn't", async () => {
    const used = await credential();
    for (const path of [`/stream/${used}/x?address=db.example.com:5432`, `/stream/${used}`]) {
      const answer = await fetch(`${pool.edge}${path}`);
      expect(answer.headers.get("relay-error")).toMatch(/^(not_found|upgrade_required)$/);
      expect(await answer.text()).not.toContain(used.slice(0, 20));
    }
  });
});

describe("refused", () => {
  const now = () => Math.floor(Date.now() / 1_000);
  const key = () => importPrivateKey(new URL(pool.relayUrl).password);
  const sign = async (claims: object, kind: "scope" | "request" = "scope") =>
    signToken(
      kind,
      {
        iss: "app",
        aud: pool.edge,
        act: "stream",
        iat: now(),
        exp: now() + HOUR,
        jti: newRequestId(),
        allow: ALLOW,
        ...claims,
      },
      await key(),
    );
  test.each<[what: string, code: ErrorCode, token: () => Promise<string>]>([
    ["a request token", "token_type", () => streamToken(pool.relayUrl, ALLOW[0]!)],
    ["a scope of another door", "token_act", () => sign({ act: "fetch" })],
    ["another edge's", "token_audience", () => sign({ aud: "https://other.example.com" })],
    ["one that expired", "token_expired", () => sign({ iat: now() - 2 * HOUR, exp: now() - HOUR })],
    ["one to come", "token_premature", () => sign({ iat: now() + HOUR, exp: now() + 2 * HOUR })],
    ["91 days", "token_lifetime", () => sign({ exp: now() + 91 * 86_400 })],
    ["no targets", "token_malformed", () => sign({ allow: [] })],
    ["targets that are text", "token_malformed", () => sign({ allow: "tcp://db.example.com:5432" })],
    ["51 targets", "token_malformed", () => sign({ allow: Array.from({ length: 51 }, () => ALLOW[0]) })],
    [
      "a target that can't be parsed, beside a good one",
      "request_invalid",
      () => sign({ allow: [...ALLOW, "tcp://*:1"] }),
    ],
    ["an unknown client's", "client_unknown", () => sign({ iss: "nobody" })],
    ["a node that there isn't", "node_unknown", () => sign({ node: "node-9" })],
    [
      "one with another's signature",
      "token_signature",
      async () => {
        const { privateKey } = await generateClientKey();
        return scopeToken({}, pool.edge.replace("//", `//app:${privateKey}@`));
      },
    ],
    ["a handle that nobody made", "handle_unknown", () => Promise.resolve(`hf_${"A".repeat(32)}`)],
    ["a short handle", "token_malformed", () => Promise.resolve("hf_A")],
  ])("%s: %s", async (_what, code, token) => {
    expect((await open(await token())).refused).toMatchObject({ code, reached: "no" });
    expect(grants).toEqual([]);
  });

  test("a client's own limit on a scope's life, longer or shorter", async () => {
    const { relayUrl: brief } = await newClient("brief", { limits: { scopeSeconds: 60 } });
    expect((await open(await scopeToken({ ttlSeconds: 61 }, brief))).refused).toMatchObject({
      code: "token_lifetime",
    });
    (await open(await scopeToken({ ttlSeconds: 60 }, brief))).socket!.close();
    const { relayUrl: lasting } = await newClient("lasting", { limits: { scopeSeconds: 400 * 86_400 } });
    (await open(await scopeToken({ ttlSeconds: 365 * 86_400 }, lasting))).socket!.close();
  });
});

// They wait for what an isolate remembers to grow old: side by side.
test.concurrent("a token that is used again and again ends with its key, and with its client", async () => {
  const [one, two] = [await newClient("token-rotated"), await newClient("token-removed")];
  const [rotated, removed] = [await scopeToken({}, one.relayUrl), await scopeToken({}, two.relayUrl)];
  for (const token of [rotated, removed, rotated, removed]) (await open(token)).socket!.close();
  const at = rotated.lastIndexOf(".") + 5;
  const changed = `${rotated.slice(0, at)}${rotated[at] === "A" ? "B" : "A"}${rotated.slice(at + 1)}`;
  expect((await open(changed)).refused?.code).toBe("token_signature");
  await newClient("token-rotated", {}, "*");
  await adminCall(pool.operator, "DELETE", "/admin/clients/token-removed", { ifMatch: "*" });
  const codes = async () => {
    const openings = await Promise.all([rotated, removed].map((token) => open(token)));
    for (const { socket } of openings) socket?.close();
    return openings.map(({ refused }) => refused?.code).join();
  };
  expect(await until(async () => (await codes()) === "token_signature,client_unknown")).toBe(true);
}, 60_000);

describe.concurrent("handles", () => {
  test("are told once, short and with what they stand for", async () => {
    const { id, handle, client, expires } = await newHandle(await scopeToken());
    expect(handle).toMatch(/^hf_[\w-]{32}$/);
    expect(id).toMatch(/^[\w-]{22}$/);
    expect(client).toBe("app");
    expect(Math.abs(expires - Date.now() / 1_000 - HOUR)).toBeLessThan(30);
  });

  test("end when they are revoked", async () => {
    const { id, handle } = await newHandle(await scopeToken());
    (await open(handle)).socket!.close();
    await adminCall(pool.operator, "DELETE", `/admin/handles/${id}`);
    expect(await until(() => areUnknown(handle))).toBe(true);
    await expect(adminCall(pool.operator, "DELETE", `/admin/handles/${id}`)).rejects.toMatchObject({
      code: "not_found",
    });
  }, 60_000);

  test("end with what they stand for", async () => {
    const { handle } = await newHandle(await scopeToken({ ttlSeconds: 2 }));
    (await open(handle)).socket!.close();
    expect(await until(() => areUnknown(handle))).toBe(true);
  }, 60_000);

  test("end with the key that signed for them, and with their client, for good", async () => {
    const one = await newClient("rotated");
    const two = await newClient("removed");
    const [rotated, removed] = [
      await newHandle(await scopeToken({}, one.relayUrl)),
      await newHandle(await scopeToken({}, two.relayUrl)),
    ];
    for (const { handle } of [rotated, removed]) (await open(handle)).socket!.close();
    await newClient("rotated", {}, "*");
    await adminCall(pool.operator, "DELETE", "/admin/clients/removed", { ifMatch: "*" });
    // A new client of that name is another one, even with the same key.
    await adminCall(pool.operator, "PUT", "/admin/clients/removed", {
      body: { id: "removed", keys: [two.publicJwk], allow: ALLOW },
    });
    expect(await until(() => areUnknown(rotated.handle, removed.handle))).toBe(true);
  }, 60_000);

  test("are made by operators alone, of scope tokens that hold", async () => {
    const post = (body: unknown) => adminCall(pool.operator, "POST", "/admin/handles", { body });
    await expect(post({})).rejects.toMatchObject({ code: "request_invalid" });
    await expect(post(null)).rejects.toMatchObject({ code: "request_invalid" });
    await expect(post({ token: await scopeToken(), more: 1 })).rejects.toMatchObject({
      code: "request_invalid",
    });
    await expect(post({ token: "x" })).rejects.toMatchObject({ code: "token_malformed" });
    await expect(post({ token: await streamToken(pool.relayUrl, ALLOW[0]!) })).rejects.toMatchObject({
      code: "token_type",
    });
    await expect(post({ token: await scopeToken({ act: "fetch" as "stream" }) })).rejects.toMatchObject({
      code: "token_act",
    });
    await expect(post({ token: await scopeToken({ ttlSeconds: 91 * 86_400 }) })).rejects.toMatchObject({
      code: "token_lifetime",
    });
    const client = { ...pool.operator, key: await importPrivateKey(new URL(pool.relayUrl).password) };
    await expect(
      adminCall(client, "POST", "/admin/handles", { body: { token: await scopeToken() } }),
    ).rejects.toMatchObject({ code: "token_signature" });
  });
});
