import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ErrorCode } from "../../protocol/errors.ts";
import type { Field } from "../../protocol/headers.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { compact, ed25519, hmac, unsigned } from "../support/compact-jws.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { EDGE, type NodeAsk, type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { rawRequest, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";

/** Whoever reaches a node without its edge's grant, or with one that says something else. */

let node: NodeProcess;
let target: CountingTarget;
let url = "";

beforeAll(async () => {
  target = await startCountingTarget();
  url = `http://127.0.0.1:${target.port}/x`;
  node = await startNodeProcess();
});
afterEach(() => expect(node.isAlive()).toBe(true));
afterAll(async () => {
  await node.stop();
  await target.close();
});

/** Sends what must be refused, and sees that nothing was dialled for it. */
async function expectRefused(ask: NodeAsk, code: ErrorCode) {
  const { connections } = target;
  const problem = expectRefusal(await node.ask({ ...ask, claims: { url, ...ask.claims } }), code);
  expect(problem.node).toBe("node-1");
  expect(target.connections).toBe(connections);
  return problem;
}

const expectReached = async (ask: NodeAsk = {}) => {
  const answer = await node.ask({ ...ask, claims: { url, ...ask.claims } });
  expect([answer?.field("relay-error"), answer?.field("relay-status")]).toEqual([undefined, "target"]);
};

const now = () => Math.floor(Date.now() / 1_000);
const bearer = (...tokens: readonly string[]): NodeAsk => ({
  authorization: tokens.map((token) => `Relay-Authorization: Bearer ${token}`),
});
const client = generateKeyPairSync("ed25519").privateKey;

type Row = readonly [what: string, code: ErrorCode, ask: () => NodeAsk];
const GRANTS: readonly Row[] = [
  ["none", "grant_missing", () => ({ authorization: [] })],
  ["an empty field", "grant_missing", () => ({ authorization: ["Relay-Authorization: "] })],
  [
    "the grant in Authorization",
    "grant_missing",
    () => ({ authorization: [`Authorization: Bearer ${node.grant()}`] }),
  ],
  ["garbage", "grant_invalid", () => bearer("gar.ba.ge")],
  [
    "random bytes",
    "grant_invalid",
    () => bearer([60, 90, 32].map((size) => randomBytes(size).toString("base64url")).join(".")),
  ],
  ["40 kB", "grant_invalid", () => ({ claims: { note: "x".repeat(30_000) } })],
  ["two fields", "grant_invalid", () => bearer(node.grant(), node.grant())],
  ["a bad one before a good one", "grant_invalid", () => bearer("x", node.grant())],
  ["forged under another key", "grant_invalid", () => ({ signer: hmac(randomBytes(32)) })],
  ["forged under no key", "grant_invalid", () => ({ signer: hmac("") })],
  ["forged under the key's text", "grant_invalid", () => ({ signer: hmac(node.key.toString("base64url")) })],
  ["alg none", "grant_invalid", () => ({ header: { alg: "none" }, signer: unsigned })],
  ["a good signature under alg none", "grant_invalid", () => ({ header: { alg: "none" } })],
  [
    "HS512 under the node's key",
    "grant_invalid",
    () => ({ header: { alg: "HS512" }, signer: hmac(node.key, "sha512") }),
  ],
  ["no typ", "grant_invalid", () => ({ header: { typ: undefined } })],
  ["typ of a request token", "grant_invalid", () => ({ header: { typ: "holdfast-request+jwt" } })],
  ["an unencoded payload", "grant_invalid", () => ({ header: { b64: false, crit: ["b64"] } })],
  ["a client's request token", "grant_invalid", () => bearer(requestToken())],
  ["for another node, under this one's key", "grant_node", () => ({ claims: { aud: "node-2" } })],
  [
    "for another node, under that one's key",
    "grant_invalid",
    () => ({ claims: { aud: "node-2" }, signer: hmac(randomBytes(32)) }),
  ],
  ["for a list of nodes", "grant_node", () => ({ claims: { aud: ["node-1"] } })],
  ["from another edge", "grant_invalid", () => ({ claims: { iss: "https://other.example.com" } })],
  ["for another door", "grant_invalid", () => ({ claims: { act: "stream" } })],
  ["old", "grant_expired", () => ({ claims: { iat: now() - 40, exp: now() - 10 } })],
  ["from the future", "grant_expired", () => ({ claims: { iat: now() + 30, exp: now() + 40 } })],
  ["good for a minute", "grant_invalid", () => ({ claims: { exp: now() + 60 } })],
  ["no framing", "grant_invalid", () => ({ claims: { framing: undefined } })],
  ["no url", "grant_invalid", () => ({ claims: { url: undefined } })],
  ["a jti that is a number", "grant_invalid", () => ({ claims: { jti: 7 } })],
  ["a jti with a line end", "grant_invalid", () => ({ claims: { jti: `${newRequestId().slice(0, 21)}\n` } })],
  ["a method with a line end", "grant_invalid", () => ({ claims: { htm: "GET / HTTP/1.1\r\nX" } })],
  [
    "of a token from before the node's memory",
    "request_predates_node",
    () => ({ claims: { tat: now() - 60 } }),
  ],
  ["a url that no edge grants", "url_invalid", () => ({ claims: { url: "file:///etc/passwd" } })],
];

function requestToken(): string {
  const claims = { ...node.claims({ url }), iss: "app", aud: EDGE };
  return compact({ alg: "Ed25519", typ: "holdfast-request+jwt" }, claims, ed25519(client));
}

describe("a grant", () => {
  test("that is good opens the way", async () => {
    await expectReached();
    expect(target.heads.at(-1)).toMatchObject({ method: "GET", url: "/x" });
  });
  test.each(GRANTS)("%s: %s", async (_what, code, ask) => {
    const { detail } = await expectRefused(ask(), code);
    expect(detail).not.toContain(node.key.toString("base64url"));
  });
  test("used twice, also after the node was killed", async () => {
    const claims = { jti: newRequestId() };
    await expectReached({ claims });
    await expectRefused({ claims }, "token_replayed");
    await node.restart();
    await expectRefused({ claims }, "token_replayed");
  });
});

const FORBIDDEN = [
  "Host",
  "Content-Length",
  "Transfer-Encoding",
  "TRANSFER-ENCODING",
  "Connection",
  "Keep-Alive",
  "TE",
  "Trailer",
  "Upgrade",
  "Expect",
  "HTTP2-Settings",
  "Proxy-Authorization",
  "Proxy-Connection",
  "Relay-Authorization",
  "Relay-Anything",
];
const ILL_FORMED: readonly Field[] = [
  ["Bad Name", "x"],
  ["Bad\tName", "x"],
  ["Bad\r\nName", "x"],
  ["Transfer-Encoding ", "chunked"],
  [" X", "x"],
  ["\u00e9", "x"],
  ["X", "a\rb"],
  ["X", "a\0b"],
  ["X", "a\x7fb"],
  ["X", " leading"],
  ["X", "trailing\t"],
  ["X", "\u000bx"],
];

/** Wire fields that carry text as it stands, past what an encoder of ours would let through. */
const section = (text: string, name = "Relay-Fields-1") => [
  `${name}: ${Buffer.from(text, "latin1").toString("base64url")}`,
];

describe("fields", () => {
  test.each(FORBIDDEN)("%s is no end-to-end field", async (name) => {
    await expectRefused(
      {
        fields: [
          ["X-Before", "1"],
          [name, "chunked"],
        ],
      },
      "fields_invalid",
    );
  });
  test.each(ILL_FORMED)("%j: %j is ill formed", async (name, value) => {
    await expectRefused({ lines: section(`${name}:${value}\n`) }, "fields_invalid");
  });
  test.each([
    "no end",
    "no colon\n",
    ":\n",
    ":status:200\n",
    "\n",
    "\n\n",
    "X:1\n\nY:2\n",
    "X:1\nTransfer-Encoding:chunked\n",
  ])("the section %j is refused", async (text) => {
    await expectRefused({ lines: section(text) }, "fields_invalid");
  });
  test.each(["*", "QTpiCg==", "QTpi Cg", "QTpiCg,QTpiCg", "A"])("%s is no base64url", async (text) => {
    await expectRefused({ lines: [`Relay-Fields-1: ${text}`] }, "fields_invalid");
  });
  test("twice the same piece", async () => {
    await expectRefused({ lines: [...section("X:1\n"), ...section("Y:2\n")] }, "fields_invalid");
  });
  test("more bytes or lines than may be", async () => {
    await expectRefused({ fields: [["X", "x".repeat(131_072)]] }, "fields_too_large");
    await expectRefused(
      { fields: Array.from({ length: 1_001 }, () => ["X", "1"] as const) },
      "fields_too_large",
    );
  });
  test("names that objects have of themselves arrive as they are", async () => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "__defineGetter__", "then"];
    await expectReached({
      fields: names.flatMap(
        (name) =>
          [
            [name, "1"],
            [name, "2"],
          ] as const,
      ),
    });
    const { fields } = target.heads.at(-1)!;
    for (const name of names) {
      expect(fields.filter((_, i) => i % 2 === 1 && fields[i - 1] === name)).toEqual(["1", "2"]);
    }
  });
});

describe("a body", () => {
  const digest = `sha-256=:${createHash("sha256").update("abc").digest("base64")}:`;
  test.each([
    ["where none was signed", { htm: "POST", framing: "none" }, "abc", undefined, "token_framing"],
    ["where an empty one was signed", { htm: "POST", framing: 0 }, "abc", undefined, "token_framing"],
    [
      "in chunks where none was signed",
      { htm: "POST", framing: "none" },
      "0\r\n\r\n",
      ["Transfer-Encoding: chunked"],
      "token_framing",
    ],
    ["of another length", { htm: "POST", framing: 4 }, "abc", undefined, "token_framing"],
    ["of another digest", { htm: "POST", framing: 3, digest }, "abd", undefined, "body_digest"],
    [
      "none, where a digest was signed",
      { htm: "POST", framing: "none", digest },
      undefined,
      undefined,
      "body_digest",
    ],
  ] as const)("%s", async (_what, claims, body, lines, code) => {
    await expectRefused({ claims, ...(body !== undefined && { body }), ...(lines && { lines }) }, code);
  });
});

describe("other requests", () => {
  test.each([
    "GET /fetch",
    "PUT /fetch",
    "POST /fetch/",
    "POST /fetch?x",
    "POST //fetch",
    "GET /metrics",
    "DELETE /healthz",
    "OPTIONS *",
    "GET /../etc/passwd",
  ])("%s is no route", async (line) => {
    await expectRefused({ line }, "not_found");
  });
  test("a stream is not asked for by POST", async () => {
    await expectRefused({ line: "POST /stream" }, "upgrade_required");
  });
  test("an absolute request line names no other door", async () => {
    await expectRefused({ line: "POST http://127.0.0.1:9/fetch" }, "not_found");
  });
  test("an upload to no route is not read to its end", async () => {
    const bytes = rawRequest("POST /upload", ["Host: x", "Content-Length: 1000000000"], "x");
    expectRefusal(await sendRaw({ port: node.port, ca: node.ca }, bytes), "not_found");
  });
});
