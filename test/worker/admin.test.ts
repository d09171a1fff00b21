import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { digestOf, newRequestId } from "../../protocol/tokens.ts";
import { compact, ed25519, privateKeyOf } from "../support/compact-jws.ts";
import { type RawAnswer, rawRequest, sendRaw } from "../support/raw-http.ts";
import { type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";
import { expectRefusal } from "../support/refusal.ts";

let relay: RefusalStack;
const newClient = await generateClientKey();
const record = (id: string, allow: readonly string[] = []) => ({ id, keys: [newClient.publicJwk], allow });

beforeAll(async () => {
  relay = await startRefusalStack();
});
afterEach(() => expect(relay.isAlive()).toBe(true));
afterAll(() => relay.stop());

interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly body?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: object;
  readonly lines?: readonly string[];
  readonly token?: string;
  readonly signer?: "operator" | "client";
}

async function token({
  method = "GET",
  path = "/admin/clients/dev",
  body,
  claims,
  header,
  signer = "operator",
}: Ask): Promise<string> {
  const { edge, keys } = relay.stack;
  const iat = relay.now();
  const digest = body === undefined ? {} : { digest: await digestOf(new TextEncoder().encode(body)) };
  const all = {
    iss: "dev-operator",
    aud: edge,
    act: "admin",
    iat,
    exp: iat + 60,
    jti: newRequestId(),
    htm: method,
    url: `${edge}${path}`,
    ...digest,
    ...claims,
  };
  return compact(
    { alg: "Ed25519", typ: "holdfast-admin+jwt", ...header },
    all,
    ed25519(privateKeyOf(keys[signer])),
  );
}

async function call(ask: Ask): Promise<RawAnswer | undefined> {
  const { method = "GET", path = "/admin/clients/dev", body, lines } = ask;
  const fields = [
    "Host: x",
    "Connection: close",
    `Relay-Authorization: Bearer ${ask.token ?? (await token(ask))}`,
    ...(lines ?? (body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`])),
  ];
  return sendRaw(
    { port: Number(new URL(relay.stack.edge).port) },
    rawRequest(`${method} ${path}`, fields, body),
  );
}

describe("versions", () => {
  const path = "/admin/clients/versions";
  const put = (ifMatch?: string, allow?: string[]) =>
    adminCall(relay.stack.operator, "PUT", path, {
      body: record("versions", allow),
      ...(ifMatch !== undefined && { ifMatch }),
    });
  const conflict = { code: "version_conflict" };

  test("a record is made, read, changed and removed, each time by the version that was known", async () => {
    await expect(put('"1"')).rejects.toMatchObject(conflict);
    await expect(put("*")).rejects.toMatchObject(conflict);
    expect((await put()).version).toBe('"1"');
    await expect(put()).rejects.toMatchObject(conflict);
    expect((await put('"1"', ["https://a.test"])).version).toBe('"2"');
    await expect(put('"1"')).rejects.toMatchObject(conflict);
    expect(await adminCall(relay.stack.operator, "GET", path)).toEqual({
      value: record("versions", ["https://a.test"]),
      version: '"2"',
    });
    expect((await put("*")).version).toBe('"3"');
    await expect(adminCall(relay.stack.operator, "DELETE", path, { ifMatch: '"2"' })).rejects.toMatchObject(
      conflict,
    );
    await expect(adminCall(relay.stack.operator, "DELETE", path)).rejects.toMatchObject(conflict);
    await adminCall(relay.stack.operator, "DELETE", path, { ifMatch: '"3"' });
    await expect(adminCall(relay.stack.operator, "GET", path)).rejects.toMatchObject({ code: "not_found" });
    await expect(adminCall(relay.stack.operator, "DELETE", path, { ifMatch: "*" })).rejects.toMatchObject(
      conflict,
    );
  });

  test("a record that is made anew has no version of its removed namesake", async () => {
    const anewPath = "/admin/clients/versions-anew";
    const write = (ifMatch?: string) =>
      adminCall(relay.stack.operator, "PUT", anewPath, { body: record("versions-anew"), ifMatch });
    const { version } = await write();
    await adminCall(relay.stack.operator, "DELETE", anewPath, { ifMatch: version });
    const anew = await write();
    expect([version, anew.version]).toEqual(['"1"', '"2"']);
    // Who still knows the first one must not write over the second.
    await expect(write(version)).rejects.toMatchObject(conflict);
  });

  test("of writers at the same time one wins, and the others know", async () => {
    const writersPath = "/admin/clients/writers";
    const write = (ifMatch?: string, allow?: readonly string[]) =>
      adminCall(relay.stack.operator, "PUT", writersPath, { body: record("writers", allow), ifMatch });
    await write();
    const writers = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) => write('"1"', [`https://w${i}.test`])),
    );
    const won = writers.flatMap((writer, i) => (writer.status === "fulfilled" ? [i] : []));
    expect(won).toHaveLength(1);
    const { value, version } = await adminCall(relay.stack.operator, "GET", writersPath);
    expect([value, version]).toEqual([record("writers", [`https://w${won[0]}.test`]), '"2"']);
  });

  test.each(['"0"', '"x"', "1", 'W/"1"', '"1", "2"', '"-1"', '"99999999999999999999"'])(
    "If-Match: %s is none",
    async (ifMatch) => {
      await expect(put(ifMatch)).rejects.toMatchObject({ code: "request_invalid" });
    },
  );
});

describe("refusals", () => {
  const body = JSON.stringify(record("refused"));
  const write = { method: "PUT", path: "/admin/clients/refused", body };
  const CASES: readonly (readonly [what: string, code: ErrorCode, ask: () => Ask])[] = [
    ["an unknown operator", "client_unknown", () => ({ ...write, claims: { iss: "nobody" } })],
    [
      "an operator named as what every object has",
      "client_unknown",
      () => ({ ...write, claims: { iss: "__proto__" } }),
    ],
    ["a client's key", "token_signature", () => ({ ...write, signer: "client" })],
    [
      "a client as an operator",
      "client_unknown",
      () => ({ ...write, signer: "client", claims: { iss: "dev" } }),
    ],
    ["a request token's typ", "token_type", () => ({ ...write, header: { typ: "holdfast-request+jwt" } })],
    ["the act of another door", "token_act", () => ({ ...write, claims: { act: "fetch" } })],
    ["alg none", "token_signature", () => ({ ...write, header: { alg: "none" } })],
    ["another edge", "token_audience", () => ({ ...write, claims: { aud: "https://other.example.com" } })],
    [
      "an old token",
      "token_expired",
      () => ({ ...write, claims: { iat: relay.now() - 90, exp: relay.now() - 31 } }),
    ],
    ["a token for an hour", "token_lifetime", () => ({ ...write, claims: { exp: relay.now() + 3_600 } })],
    ["another method", "token_method", () => ({ ...write, claims: { htm: "GET" } })],
    [
      "another client's URL",
      "token_url",
      () => ({ ...write, claims: { url: `${relay.stack.edge}/admin/clients/other` } }),
    ],
    [
      "another query",
      "token_url",
      () => ({ ...write, claims: { url: `${relay.stack.edge}${write.path}?x` } }),
    ],
    [
      "another body",
      "body_digest",
      () => ({ ...write, claims: { digest: "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:" } }),
    ],
    ["a body that was not signed", "body_digest", () => ({ ...write, claims: { digest: undefined } })],
    ["no body", "request_invalid", () => ({ ...write, body: "" })],
    ["a body that is no JSON", "request_invalid", () => ({ ...write, body: "{" })],
    [
      "a record with another id than the URL's",
      "request_invalid",
      () => ({ ...write, body: JSON.stringify(record("other")) }),
    ],
    ["a record that is none", "request_invalid", () => ({ ...write, body: "null" })],
    ["a body of 70 kB", "too_large", () => ({ ...write, body: " ".repeat(70_000) })],
    [
      "a body of 70 kB in chunks",
      "too_large",
      () => ({
        ...write,
        body: `11170\r\n${" ".repeat(70_000)}\r\n0\r\n\r\n`,
        lines: ["Transfer-Encoding: chunked"],
      }),
    ],
    ["an unknown client", "not_found", () => ({ path: "/admin/clients/nobody" })],
    ["no route", "not_found", () => ({ path: "/admin/nothing" })],
    ["a method that the route has not", "not_found", () => ({ method: "PATCH", path: "/admin/clients/dev" })],
  ];
  test.each(CASES)("%s: %s", async (_what, code, ask) => {
    expectRefusal(await call(ask()), code);
    await expect(adminCall(relay.stack.operator, "GET", "/admin/clients/refused")).rejects.toMatchObject({
      code: "not_found",
    });
  });

  test("no token", async () => {
    const port = Number(new URL(relay.stack.edge).port);
    for (const path of ["/admin/clients/dev", "/admin", "/admin/nothing"]) {
      expectRefusal(
        await sendRaw({ port }, rawRequest(`GET ${path}`, ["Host: x", "Connection: close"])),
        "token_missing",
      );
    }
  });

  test("a token used twice, also at the same time, also where the first call failed", async () => {
    const used = await token({});
    const answers = await Promise.all(Array.from({ length: 20 }, () => call({ token: used })));
    expect(answers.filter((answer) => answer?.status === 200)).toHaveLength(1);
    for (const answer of answers.filter((one) => one?.status !== 200)) {
      expectRefusal(answer, "token_replayed");
    }
    const failed = { ...write, body: "null" };
    const failing = await token(failed);
    expectRefusal(await call({ ...failed, token: failing }), "request_invalid");
    expectRefusal(await call({ ...failed, token: failing }), "token_replayed");
  });
});

describe("a change takes effect", { timeout: 60_000 }, () => {
  /** What a client is answered. */
  async function mark(iss: string): Promise<string | undefined> {
    const answer = await relay.ask({ claims: { iss }, signer: ed25519(privateKeyOf(newClient)) });
    return answer?.field("relay-error") ?? answer?.field("relay-status");
  }
  /** Asks until the answer is another one: when the last that got the former one was begun, in milliseconds. */
  async function until(wanted: string, iss: string): Promise<number> {
    const start = performance.now();
    for (let last = 0; ;) {
      const began = performance.now() - start;
      const got = await mark(iss);
      if (got === wanted) return last;
      if (began > 15_000) expect.fail(`${got} never became ${wanted}`);
      last = began;
      await pause(250);
    }
  }
  const put = (id: string, allow: readonly string[], ifMatch?: string) =>
    adminCall(relay.stack.operator, "PUT", `/admin/clients/${id}`, { body: record(id, allow), ifMatch });

  test.concurrent("within ten seconds: a client that is added, though it is remembered that there was none", async () => {
    expect(await mark("added")).toBe("client_unknown");
    await put("added", [relay.targetUrl]);
    expect(await until("target", "added")).toBeLessThan(10_100);
  });

  test.concurrent("within ten seconds: a target that is taken away", async () => {
    await put("changed", [relay.targetUrl]);
    expect(await mark("changed")).toBe("target");
    await put("changed", ["https://elsewhere.test"], '"1"');
    expect(await until("target_not_allowed", "changed")).toBeLessThan(10_100);
  });

  test.concurrent("within ten seconds: a client that is removed", async () => {
    await put("removed", [relay.targetUrl]);
    expect(await mark("removed")).toBe("target");
    await adminCall(relay.stack.operator, "DELETE", "/admin/clients/removed", { ifMatch: '"1"' });
    expect(await until("client_unknown", "removed")).toBeLessThan(10_100);
  });
});
