import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { once } from "node:events";
import { decodeProtectedHeader, type JWK } from "jose";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { publicHalf } from "../../dev/keys.ts";
import { createCa } from "../../dev/certificates.ts";
import { startWorkerd } from "../../dev/workerd.ts";
import { verifyEgressList } from "../../protocol/egress-list.ts";
import { WORKER_DIR } from "../support/build-worker.ts";
import { type RawAnswer, rawRequest, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";
import { freePort, testStack } from "../support/stack.ts";

const ask = (port: number, line: string, fields: readonly string[] = []): Promise<RawAnswer | undefined> =>
  sendRaw({ port }, rawRequest(line, ["Host: x", "Connection: close", ...fields]));

describe("what an edge says to anybody", () => {
  let stack: Awaited<ReturnType<typeof testStack>>;
  let port = 0;
  beforeAll(async () => {
    stack = await testStack();
    port = Number(new URL(stack.edge).port);
  });
  afterAll(() => stack.stop());

  test("/healthz", async () => {
    const answer = await ask(port, "GET /healthz");
    expect([answer?.status, answer?.field("cache-control"), JSON.parse(answer!.body)]).toEqual([
      200,
      "no-store",
      { status: "ok" },
    ]);
  });

  test("/.well-known/jwks.json: its public key, and nothing of the private one", async () => {
    const answer = await ask(port, "GET /.well-known/jwks.json");
    const { kty, crv, x, kid, d } = stack.keys.edgeSigningKey;
    expect(JSON.parse(answer!.body)).toEqual({ keys: [{ kty, crv, x, kid, use: "sig", alg: "Ed25519" }] });
    expect(answer!.body).not.toContain(d);
  });

  test("/.well-known/egress.json: the addresses that targets may admit", async () => {
    const answer = await ask(port, "GET /.well-known/egress.json");
    expect(answer?.field("cache-control")).toBe("public, max-age=60");
    expect(JSON.parse(answer!.body)).toEqual({
      issuer: stack.edge,
      addresses: [
        { address: "127.0.0.2", family: "ipv4", node: "node-1", since: "2026-01-01" },
        { address: "127.0.0.3", family: "ipv4", node: "node-2", since: "2026-01-01" },
      ],
      planned: [],
      nodes: ["node-1", "node-2"].map((id) => ({ id, key: publicHalf(stack.keys.nodeSigningKeys[id]!) })),
    });
  });

  test("/.well-known/egress.jwt: the same list, signed by the edge", async () => {
    const [plain, signed, jwks] = await Promise.all(
      ["egress.json", "egress.jwt", "jwks.json"].map((name) => ask(port, `GET /.well-known/${name}`)),
    );
    expect(signed?.status).toBe(200);
    expect(signed?.field("content-type")).toBe("application/jwt");
    expect(signed?.field("cache-control")).toBe("public, max-age=60");
    const keys = JSON.parse(jwks!.body) as { keys: JWK[] };
    const now = Math.floor(Date.now() / 1_000);
    const { iat, exp, ...list } = await verifyEgressList(signed!.body, keys, stack.edge, now);
    expect(list).toEqual(JSON.parse(plain!.body));
    expect([exp - iat, Math.abs(iat - now) < 5]).toEqual([3_600, true]);
    expect(decodeProtectedHeader(signed!.body)).toEqual({
      alg: "Ed25519",
      typ: "holdfast-egress+jwt",
      kid: stack.keys.edgeSigningKey.kid,
    });
  });

  test("/whoami: the address that the socket came from, whatever the caller says of it", async () => {
    const forged = ["CF-Connecting-IP: 192.0.2.1", "X-Real-IP: 192.0.2.1", "X-Forwarded-For: 192.0.2.1"];
    for (const fields of [[], forged]) {
      const answer = await ask(port, "GET /whoami", fields);
      expect([answer?.status, answer?.field("cache-control"), JSON.parse(answer!.body)]).toEqual([
        200,
        "no-store",
        { address: "127.0.0.1" },
      ]);
    }
  });

  test.each([
    "GET /",
    "GET /favicon.ico",
    "GET /.env",
    "GET /.well-known/",
    "GET /metrics",
    "POST /whoami",
    "POST /healthz",
    "DELETE /.well-known/jwks.json",
    "GET /healthz/x",
    `GET /${"x".repeat(2_000)}`,
  ])("%s is no route", async (line) => {
    const { detail } = expectRefusal(await ask(port, line), "not_found");
    expect(detail.length).toBeLessThan(100);
  });

  test("a query is not repeated in a refusal", async () => {
    expect((await ask(port, "GET /nothing?secret=1"))?.body).not.toContain("secret");
  });
});

describe("an edge that is not configured", () => {
  const SECRET = "s3cr3tThatMustNotLeak0123456789AAAAAAAAAAAAAAA";
  const CASES: readonly (readonly [what: string, vars: object, secrets: object, told: RegExp])[] = [
    [
      "nothing is set",
      {},
      {},
      /EDGE_ORIGIN is not set; NODES is not set; GRANT_MASTER_KEY is not set; EDGE_SIGNING_KEY is not set; OPERATOR_KEYS is not set/,
    ],
    [
      "everything is wrong",
      {
        EDGE_ORIGIN: `https://edge.example.com/${SECRET}`,
        NODES: [{ id: "x" }],
        OPERATOR_KEYS: { keys: [{ kty: "oct", k: SECRET }] },
      },
      { GRANT_MASTER_KEY: `${SECRET}!`, EDGE_SIGNING_KEY: `{"d":"${SECRET}"` },
      /EDGE_ORIGIN must be .*NODES\.0\.url.*GRANT_MASTER_KEY must be .*EDGE_SIGNING_KEY is not valid JSON.*OPERATOR_KEYS/,
    ],
  ];
  test.each(CASES)(
    "refuses every route, and tells its log alone why: %s",
    async (_what, vars, secrets, told) => {
      const dir = mkdtempSync(join(tmpdir(), "holdfast-edge-"));
      const log = join(dir, "edge.log");
      const port = await freePort();
      const child = await startWorkerd({
        module: join(WORKER_DIR, "index.js"),
        dir,
        host: "127.0.0.1",
        port,
        vars: vars as Record<string, unknown>,
        secrets: secrets as Record<string, string>,
        ca: (await createCa("Edge test CA")).cert,
        output: openSync(log, "a"),
      });
      try {
        const routes = [
          "POST /fetch",
          "GET /fetch",
          "GET /healthz",
          "GET /.well-known/jwks.json",
          "GET /.well-known/egress.json",
          "GET /.well-known/egress.jwt",
          "GET /whoami",
          "GET /admin/clients/x",
          "PUT /admin/clients/x",
        ];
        for (const line of routes) {
          const answer = await ask(port, line, ["Relay-Authorization: Bearer a.b.c"]);
          const problem = expectRefusal(answer, "edge_misconfigured");
          expect(problem.detail).toBe("the edge is not configured");
          expect(answer!.body).not.toContain(SECRET);
        }
        const text = readFileSync(log, "utf8");
        expect(text).toMatch(told);
        // An origin is public, and quoted so that it can be mended; the rest is not.
        expect(text.replaceAll(`https://edge.example.com/${SECRET}`, "")).not.toContain(SECRET);
      } finally {
        const gone = once(child, "exit");
        child.kill("SIGTERM");
        await gone;
        rmSync(dir, { recursive: true });
      }
    },
  );
});
