import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { Miniflare } from "miniflare";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { publicHalf } from "../../dev/keys.ts";
import { adminCall } from "../../client/admin.ts";
import { createRelay, isRelayError } from "../../client/index.ts";
import { generateClientKey, importPrivateKey } from "../../protocol/keys.ts";
import { digestMember, newRequestId, signToken, TOKEN_TYPES } from "../../protocol/tokens.ts";
import { WORKER_DIR } from "../support/build-worker.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { compact, ed25519, privateKeyOf } from "../support/compact-jws.ts";
import { type RawAnswer, rawRequest, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";
import { freePort, testStack } from "../support/stack.ts";

const stranger = ed25519(privateKeyOf(await generateClientKey()));

/** Limits through the whole stack: a client's, as its record has them, and what a stranger's tokens cost. */

let stack: Awaited<ReturnType<typeof testStack>>;
let target: CountingTarget;
let origin: string;
beforeAll(async () => {
  const port = await freePort();
  origin = `https://localhost:${port}`;
  stack = await testStack({ allow: [origin], edgeVars: { CLIENT_ADDRESS_HEADER: "x-test-address" } });
  target = await startCountingTarget({
    tls: stack.keys,
    port,
    answer: ({ url }, response) => {
      if (url === "/begin") response.writeHead(200).write("begun");
      else response.end("ok");
    },
  });
});
afterAll(async () => {
  await stack.stop();
  await target.close();
});

/** A request token's claims, to be changed. */
function claimsOf(iss: string) {
  const iat = Math.floor(Date.now() / 1_000);
  return {
    iss,
    aud: stack.edge,
    act: "fetch",
    iat,
    exp: iat + 60,
    jti: newRequestId(),
    htm: "GET",
    url: `${origin}/`,
  };
}

/** Registers a client; returns what HOLDFAST_URL would hold. */
async function register(id: string, limits: object): Promise<string> {
  const { publicJwk, privateKey } = await generateClientKey();
  const body = { id, keys: [publicJwk], allow: [origin], pool: ["node-1"], limits };
  await adminCall(stack.operator, "PUT", `/admin/clients/${id}`, { body });
  return stack.edge.replace("://", `://${id}:${privateKey}@`);
}

describe("a client's limits", () => {
  test.each([{ method: "GET" }, { method: "HEAD" }])(
    "requests per second: the client library tells how long to wait, also of $method",
    async ({ method }) => {
      const relay = createRelay(await register(`rate-${method.toLowerCase()}`, { requestsPerSecond: 0.4 }));
      expect((await relay.fetch(`${origin}/`, { method })).status).toBe(200);
      const error = await relay.fetch(`${origin}/`, { method }).catch((cause: unknown) => cause);
      expect(isRelayError(error)).toBe(true);
      expect(error).toMatchObject({ code: "rate_limited", status: 429, reached: "no", retryable: true });
      expect((error as { retryAfter: number }).retryAfter).toBeGreaterThanOrEqual(1);
      expect((error as { retryAfter: number }).retryAfter).toBeLessThanOrEqual(3);
    },
  );

  test("a raw caller sees 429 with Retry-After, whatever its method", async () => {
    const url = await register("raw", { requestsPerSecond: 0.4 });
    const key = await importPrivateKey(new URL(url).password);
    const ask = async () => {
      const token = await signToken("request", { ...claimsOf("raw"), htm: "HEAD" }, key);
      return fetch(`${stack.edge}/fetch`, {
        method: "HEAD",
        headers: { "Relay-Authorization": `Bearer ${token}` },
      });
    };
    expect((await ask()).status).toBe(200);
    const refused = await ask();
    expect([
      refused.status,
      refused.headers.get("relay-error"),
      refused.headers.get("relay-reached"),
    ]).toEqual([429, "rate_limited", "no"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("requests at once", async () => {
    const relay = createRelay(await register("concurrent", { concurrent: 1 }));
    const held = await relay.fetch(`${origin}/begin`);
    await expect(relay.fetch(`${origin}/`)).rejects.toMatchObject({
      code: "concurrency_limited",
      retryAfter: 1,
    });
    await held.body?.cancel();
    const status = () =>
      relay
        .fetch(`${origin}/`)
        .then((answer) => answer.status)
        .catch(() => 0);
    await expect.poll(status, { timeout: 10_000, interval: 200 }).toBe(200);
  });

  test("bytes per second", async () => {
    const relay = createRelay(await register("bytes", { bytesPerSecond: 300_000 }));
    const began = performance.now();
    const body = new Uint8Array(700_000);
    const response = await relay.fetch(`${origin}/`, { method: "POST", body });
    expect([response.status, target.bodies.at(-1)]).toEqual([200, 700_000]);
    // 700 kB, of which 300 were there.
    expect(performance.now() - began).toBeGreaterThan(1_000);
  });
});

const code = (answer: RawAnswer | undefined) => answer?.field("relay-error") ?? answer?.status;

/**
 * Asks until one is refused unseen, and returns that one and how many were looked at before: at most twenty, and one for each
 * second that it took.
 */
async function untilRefused(one: (i: number) => Promise<RawAnswer | undefined>, looked: string) {
  const began = performance.now();
  for (let count = 0; ; count++) {
    const refused = await one(count);
    if (code(refused) === "rate_limited") return { refused, count };
    expect(code(refused)).toBe(looked);
    expect(count + 1).toBeLessThanOrEqual(20 + (performance.now() - began) / 1_000);
  }
}

describe.concurrent("tokens that fail", () => {
  /** Asks as somebody, from somewhere; every token is signed by a key that nobody has registered, but for `dev`'s own. */
  async function ask(from: string, iss: string, changes: object = {}): Promise<RawAnswer | undefined> {
    const claims = { ...claimsOf(iss), ...changes };
    const signer = iss === "dev" ? ed25519(privateKeyOf(stack.keys.client)) : stranger;
    return send(from, "GET /fetch", compact({ alg: "Ed25519", typ: TOKEN_TYPES.request }, claims, signer));
  }
  const send = (from: string, line: string, token: string) =>
    sendRaw(
      { port: Number(new URL(stack.edge).port) },
      rawRequest(line, [
        "Host: x",
        "Connection: close",
        `Relay-Authorization: Bearer ${token}`,
        ...(from === "" ? [] : [`X-Test-Address: ${from}`]),
      ]),
    );
  /** Has ids looked up that nobody has, until one is refused unseen. */
  const useUp = (from: string) =>
    untilRefused((i) => ask(from, `nobody-${from.replaceAll(/\W/g, "-")}-${i}`), "client_unknown");

  test("are refused unseen after twenty, with Retry-After, for their sender alone; who is known goes on", async () => {
    expect(code(await ask("192.0.2.1", "dev"))).toBe(200);
    const { refused, count } = await useUp("192.0.2.1");
    expect(count).toBeGreaterThanOrEqual(20);
    const problem = expectRefusal(refused, "rate_limited");
    expect(problem.detail).toBe("too many tokens from this address failed");
    expect(refused!.field("retry-after")).toBe("1");
    // A neighbour behind the same address, and anybody at another one.
    expect(code(await ask("192.0.2.1", "dev"))).toBe(200);
    expect(code(await ask("192.0.2.2", "nobody-else"))).toBe("client_unknown");
    // A known client's name opens nothing, and a guess at its key is told nothing.
    const forged = compact({ alg: "Ed25519", typ: TOKEN_TYPES.request }, claimsOf("dev"), stranger);
    const guesses = await untilRefused(() => send("192.0.2.1", "GET /fetch", forged), "token_signature");
    expect(guesses.count).toBeLessThan(10);
    expect(code(await send("192.0.2.9", "GET /fetch", forged))).toBe("token_signature");
  });

  test("a client that is known goes on when what is remembered of it has grown old", async () => {
    expect(code(await ask("192.0.2.3", "dev"))).toBe(200);
    await useUp("192.0.2.3");
    await pause(10_500);
    await useUp("192.0.2.3");
    expect(code(await ask("192.0.2.3", "dev"))).toBe(200);
  });

  test("of one IPv6 network are one sender's, of garbage too; after a second one more is looked at", async () => {
    const { count } = await untilRefused(
      (i) => send(`2001:db8::${i}`, "GET /fetch", "gar.ba.ge"),
      "token_malformed",
    );
    expect(count).toBeGreaterThanOrEqual(20);
    expect(code(await ask("2001:db8:0:1::1", "nobody"))).toBe("client_unknown");
    await pause(1_100);
    expect(code(await ask("2001:db8::5", "nobody-0"))).toBe("client_unknown");
    const again = await untilRefused(() => ask("2001:db8::5", "nobody-0"), "client_unknown");
    expect(again.count).toBeLessThan(10);
  });

  test.each([
    ["of a clock that is off", () => ({ iat: 1_000_000_000, exp: 1_000_000_060 }), "token_expired"],
    ["of a policy", () => ({ iss: "dev", url: "https://example.com/" }), "target_not_allowed"],
  ])("nobody is charged for what is wrong because %s", async (what, changes, expected) => {
    const from = what.length === 22 ? "192.0.2.4" : "192.0.2.5";
    for (let i = 0; i < 24; i++) expect(code(await ask(from, "dev", changes()))).toBe(expected);
    expect(code(await ask(from, "nobody-else"))).toBe("client_unknown");
  });

  test("where nothing tells the sender, all are looked at", async () => {
    for (let i = 0; i < 24; i++) expect(code(await ask("", `nobody-${i}`))).toBe("client_unknown");
  });

  test("an operator's cost the same, and an operator goes on", async () => {
    const admin = (from: string, iss: string, key: typeof stranger) => {
      const claims = { ...claimsOf(iss), act: "admin", url: `${stack.edge}/admin/clients/dev` };
      const token = compact({ alg: "Ed25519", typ: TOKEN_TYPES.admin }, claims, key);
      return send(from, "GET /admin/clients/dev", token);
    };
    const { count } = await untilRefused(() => admin("192.0.2.6", "nobody", stranger), "client_unknown");
    expect(count).toBeGreaterThanOrEqual(20);
    const guesses = await untilRefused(() => admin("192.0.2.6", "dev-operator", stranger), "token_signature");
    expect(guesses.count).toBeLessThan(10);
    const operator = ed25519(privateKeyOf(stack.keys.operator));
    expect(code(await admin("192.0.2.6", "dev-operator", operator))).toBe(200);
    expect((await useUp("192.0.2.6")).count).toBeLessThan(10);
  });
});

test("without a proxy in front, the sender is the peer of the edge's own socket", async () => {
  const other = await testStack();
  try {
    const peer = { port: Number(new URL(other.edge).port) };
    const bytes = rawRequest("GET /fetch", [
      "Host: x",
      "Connection: close",
      "Relay-Authorization: Bearer a.b.c",
    ]);
    const { count } = await untilRefused(() => sendRaw(peer, bytes), "token_malformed");
    expect(count).toBeGreaterThanOrEqual(20);
  } finally {
    await other.stop();
  }
});

describe("the platform's ceilings", () => {
  /** The worker with the platform's own rate limits, as far as they can run here; no node is there. */
  async function underCeilings<T>(run: (ask: (iss: string) => Promise<Response>) => Promise<T>): Promise<T> {
    const { keys, edge, nodes } = stack;
    const text = (value: string) => ({ type: "text" as const, value });
    const data = (value: unknown) => ({ type: "json" as const, value: value as never });
    const ceiling = (namespace: string) => ({
      type: "rate-limit" as const,
      namespace,
      simple: { limit: 3, period: 10 as const },
    });
    const contents = await readFile(join(WORKER_DIR, "index.js"), "utf8");
    const worker = new Miniflare({
      workers: [
        {
          config: {
            name: "edge",
            compatibilityDate: "2026-11-01",
            exports: { Registry: { type: "durable-object", storage: "sqlite" } },
            env: {
              REGISTRY: { type: "durable-object", worker: "edge", exportName: "Registry" },
              CLIENT_CEILING: ceiling("1"),
              STRANGER_CEILING: ceiling("2"),
              EDGE_ORIGIN: text(edge),
              CLIENT_ADDRESS_HEADER: text("x-test-address"),
              NODES: data(
                nodes.map(({ id }) => ({
                  id,
                  url: "https://127.0.0.1:9",
                  key: publicHalf(keys.nodeSigningKeys[id]!),
                  addresses: [{ address: "192.0.2.1", since: "2026-01-01" }],
                })),
              ),
              OPERATOR_KEYS: data({ keys: [{ ...keys.operator.publicJwk, kid: "dev-operator" }] }),
              GRANT_MASTER_KEY: text(keys.grantMasterKey),
              EDGE_SIGNING_KEY: text(JSON.stringify(keys.edgeSigningKey)),
            },
            manifest: {
              mainModule: "index.js",
              modulesRoot: "/",
              modules: { "index.js": { type: "esm", contents } },
            },
          },
        },
      ],
    });
    try {
      const send = async (path: string, init: { method: string; body?: string; token: string }) =>
        (await worker.dispatchFetch(`${edge}${path}`, {
          method: init.method,
          ...(init.body !== undefined && { body: init.body }),
          headers: { "Relay-Authorization": `Bearer ${init.token}`, "X-Test-Address": "192.0.2.8" },
        })) as unknown as Response;
      const path = "/admin/clients/dev";
      const body = JSON.stringify({ id: "dev", keys: [keys.client.publicJwk], allow: [origin] });
      const digest = digestMember(createHash("sha256").update(body).digest());
      const put = { ...claimsOf("dev-operator"), act: "admin", htm: "PUT", url: `${edge}${path}`, digest };
      const operator = ed25519(privateKeyOf(keys.operator));
      const made = await send(path, {
        method: "PUT",
        body,
        token: compact({ alg: "Ed25519", typ: TOKEN_TYPES.admin }, put, operator),
      });
      expect(made.status).toBe(201);
      // The periods begin by the clock: what follows fits into one.
      const intoPeriod = Date.now() % 10_000;
      if (intoPeriod > 6_000) await pause(10_000 - intoPeriod);
      return await run((iss) => {
        const signer = ed25519(privateKeyOf(keys.client));
        return send("/fetch", {
          method: "GET",
          token: compact({ alg: "Ed25519", typ: TOKEN_TYPES.request }, claimsOf(iss), signer),
        });
      });
    } finally {
      await worker.dispose();
    }
  }
  /** What became of a request; one that was let in fails further on, since no node is there. */
  const told = ({ headers }: Response): string => {
    const error = headers.get("relay-error")!;
    if (error === "rate_limited") return `${error}, ${headers.get("retry-after")} s`;
    return error === "client_unknown" ? error : "let in";
  };

  test("a client over its own is told to wait for its end", async () => {
    const answers = await underCeilings(async (ask) => {
      const all = [];
      for (let i = 0; i < 4; i++) all.push(told(await ask("dev")));
      return all;
    });
    expect(answers).toEqual(["let in", "let in", "let in", "rate_limited, 10 s"]);
  });

  test("a stranger over its own is shut out at once, and a known client is not", async () => {
    const answers = await underCeilings(async (ask) => {
      const all = [told(await ask("dev"))];
      for (let i = 0; i < 5; i++) all.push(told(await ask(`nobody-${i}`)));
      all.push(told(await ask("dev")));
      return all;
    });
    expect(answers).toEqual([
      "let in",
      ...Array<string>(4).fill("client_unknown"),
      expect.stringMatching(/^rate_limited, (8|9|10) s$/),
      "let in",
    ]);
  });
});
