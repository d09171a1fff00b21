import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import type { JWK } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { EDGE, type NodeAsk, type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { eventually } from "../support/node-log.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { startWitness, type Witness } from "../support/witness.ts";

/** Receipts as a node signs them, proven here without a line of the project's. */

let node: NodeProcess;
let witness: Witness;
let plain: CountingTarget;
let secure: CountingTarget;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
beforeAll(async () => {
  witness = await startWitness({ tell: () => "203.0.113.10" });
  node = await startNodeProcess({
    egress: { ipv4: { bind: "127.0.0.2", public: "203.0.113.10" } },
    witnesses: [witness.url],
  });
  await eventually(async () => (await node.get("/healthz"))?.status === 200, "the node is in service");
  const behave = {
    answer: (request: IncomingMessage, response: ServerResponse) => answer(request, response),
  };
  plain = await startCountingTarget(behave);
  secure = await startCountingTarget({ ...behave, tls: node.tls });
});
afterAll(() => Promise.all([node.stop(), plain.close(), secure.close(), witness.close()]));
beforeEach(() => {
  answer = (_request, response) => void response.end("ok");
});

const http = () => `http://127.0.0.1:${plain.port}/path?query`;
const https = () => `https://localhost:${secure.port}/path?query`;

const decode = (part = ""): Record<string, unknown> =>
  JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;

/** The claims of an answer's receipt; its signature has been proven by the node's public key. */
function claimsOf(answered: RawAnswer | undefined): Record<string, unknown> {
  const [header, payload, signature] = (answered?.field("relay-receipt") ?? "").split(".");
  const { d: _, ...jwk } = JSON.parse(readFileSync(join(node.dir, "signing.jwk"), "utf8")) as JWK;
  const key = createPublicKey({ key: jwk, format: "jwk" });
  expect(
    verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature ?? "", "base64url")),
  ).toBe(true);
  expect(decode(header)).toEqual({ alg: "Ed25519", typ: "holdfast-receipt+jwt", kid: "node-1" });
  return decode(payload);
}

describe("a receipt", () => {
  test("says all there is of a call, and no path", async () => {
    const grant = node.claims({ url: https(), htm: "POST", framing: 5, receipt: true });
    const before = Math.floor(Date.now() / 1_000);
    const claims = claimsOf(await node.ask({ claims: grant, body: "12345" }));
    expect(claims["iat"]).toBeGreaterThanOrEqual(before);
    expect(claims["iat"]).toBeLessThanOrEqual(Date.now() / 1_000);
    expect(claims).toEqual({
      iss: "node-1",
      aud: EDGE,
      sub: "app",
      jti: grant["jti"],
      iat: claims["iat"],
      htm: "POST",
      target: `localhost:${secure.port}`,
      egress: "203.0.113.10",
      dialed: "127.0.0.1",
      tls: "TLSv1.3",
      status: 200,
      bytes_up: 5,
      bytes_down: 2,
    });
  });

  const CASES: readonly (readonly [string, () => NodeAsk, typeof answer, Record<string, unknown>])[] = [
    [
      "by plain http",
      () => ({ claims: { url: http() } }),
      (_, response) => response.end("ok"),
      { tls: null, bytes_up: 0, bytes_down: 2 },
    ],
    [
      "whose answer has no length",
      () => ({ claims: { url: http() } }),
      (_, response) => {
        response.write("a");
        response.end("b");
      },
      { bytes_down: null },
    ],
    [
      "to HEAD",
      () => ({ claims: { url: http(), htm: "HEAD" } }),
      (_, response) => response.writeHead(200, { "Content-Length": "99" }).end(),
      { htm: "HEAD", bytes_down: 0 },
    ],
    [
      "whose target refuses",
      () => ({ claims: { url: http() } }),
      (_, response) => response.writeHead(503, { "Content-Length": "0" }).end(),
      { status: 503, bytes_down: 0 },
    ],
    [
      "with a body in chunks",
      () => ({
        claims: { url: http(), htm: "PUT", framing: "chunked" },
        lines: ["Transfer-Encoding: chunked"],
        body: "3\r\nabc\r\n0\r\n\r\n",
      }),
      (_, response) => response.end("ok"),
      { htm: "PUT", bytes_up: 3 },
    ],
  ];
  test.each(CASES)("of a call %s", async (_what, ask, behave, expected) => {
    answer = behave;
    const asked = ask();
    const answered = await node.ask({ ...asked, claims: { ...asked.claims, receipt: true } });
    expect(claimsOf(answered)).toMatchObject(expected);
  });

  test("never is the target's own", async () => {
    answer = (_request, response) => void response.writeHead(200, { "Relay-Receipt": "forged" }).end("ok");
    const answered = await node.ask({ claims: { url: http(), receipt: true } });
    expect(claimsOf(answered)["target"]).toBe(`127.0.0.1:${plain.port}`);
    const unasked = await node.ask({ claims: { url: http() } });
    expect([unasked?.status, unasked?.field("relay-receipt")]).toEqual([200, undefined]);
  });

  test.each([{ receipt: false }, {}])("is not given where the grant says %j", async (changes) => {
    const answered = await node.ask({ claims: { url: http(), ...changes } });
    expect([answered?.field("relay-status"), answered?.field("relay-receipt")]).toEqual([
      "target",
      undefined,
    ]);
  });

  test.each([
    ["of a node that refuses", { url: "http://10.0.0.1/" }, "address_refused"],
    ["of a target that does not listen", { url: "http://127.0.0.1:9/" }, "connect_refused"],
  ])("is not on a failure %s", async (_what, claims, code) => {
    const answered = await node.ask({ claims: { ...claims, receipt: true } });
    expect([answered?.field("relay-error"), answered?.field("relay-receipt")]).toEqual([code, undefined]);
  });
});
