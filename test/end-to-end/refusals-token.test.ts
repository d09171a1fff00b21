import { generateKeyPairSync, randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ErrorCode } from "../../protocol/errors.ts";
import { compact, ed25519, es256, hmac, privateKeyOf, unsigned } from "../support/compact-jws.ts";
import { type Changes, type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";
import { expectRefusal } from "../support/refusal.ts";

/** Requests that are wrong in their token alone. None may reach the target, none may even be relayed by a node. */

let relay: RefusalStack;

beforeAll(async () => {
  relay = await startRefusalStack();
});
afterEach(() => {
  expect(relay.isAlive()).toBe(true);
});
afterAll(async () => {
  try {
    // Whatever was dialled or told late shows here.
    expect(relay.target.connections).toBe(0);
    expect(relay.relayedAllTheSame()).toEqual([]);
  } finally {
    await relay.stop();
  }
});

type Row = readonly [what: string, code: ErrorCode, changes: () => Changes];

const stranger = generateKeyPairSync("ed25519");
const authorization = (...values: readonly string[]): Changes => ({
  authorization: values.map((value) => `Relay-Authorization: ${value}`),
});
const bearer = (token: string) => authorization(`Bearer ${token}`);
const claims = (changes: Record<string, unknown>): Changes => ({ claims: changes });
const header = (changes: Record<string, unknown>): Changes => ({ header: changes });
const TYP = "holdfast-request+jwt";

const SHAPES: readonly Row[] = [
  ["no token", "token_missing", () => ({ authorization: [] })],
  ["an empty field", "token_missing", () => authorization("")],
  [
    "the token in Authorization",
    "token_missing",
    () => ({ authorization: [`Authorization: Bearer ${relay.token()}`] }),
  ],
  ["garbage", "token_malformed", () => bearer("garbage")],
  ["three parts of garbage", "token_malformed", () => bearer("gar.ba.ge")],
  [
    "random bytes",
    "token_malformed",
    () => bearer(["", "", ""].map(() => randomBytes(60).toString("base64url")).join(".")),
  ],
  ["another scheme", "token_malformed", () => authorization(`Basic ${relay.token()}`)],
  [
    "two tokens in two fields",
    "token_malformed",
    () => authorization(`Bearer ${relay.token()}`, `Bearer ${relay.token()}`),
  ],
  [
    "a good token behind a bad one",
    "token_malformed",
    () => authorization("Bearer x", `Bearer ${relay.token()}`),
  ],
  [
    "two tokens in one field",
    "token_malformed",
    () => authorization(`Bearer ${relay.token()}, Bearer ${relay.token()}`),
  ],
  ["17 kB of token", "token_malformed", () => claims({ note: "x".repeat(13_000) })],
  ["200 kB of token", "token_malformed", () => claims({ note: "x".repeat(150_000) })],
  ["a padded signature", "token_malformed", () => bearer(`${relay.token()}==`)],
  [
    "claims that are a list",
    "token_malformed",
    () => bearer(compact({ alg: "Ed25519", typ: TYP }, [], randomSignature)),
  ],
  ["no jti", "token_malformed", () => claims({ jti: undefined })],
  ["a short jti", "token_malformed", () => claims({ jti: "AAAA" })],
  ["a jti of 10 kB", "token_malformed", () => claims({ jti: "A".repeat(10_000) })],
  ["a jti that is an object", "token_malformed", () => claims({ jti: {} })],
  ["no url", "token_malformed", () => claims({ url: undefined })],
  ["no htm", "token_malformed", () => claims({ htm: undefined, method: "GET" })],
  ["htm CONNECT", "token_malformed", () => ({ claims: { htm: "CONNECT" }, method: "POST" })],
  ["htm TRACE", "token_malformed", () => ({ claims: { htm: "TRACE" }, method: "POST" })],
  ["htm with a line end", "token_malformed", () => ({ claims: { htm: "GET /\r\nX: y" }, method: "POST" })],
  ["no exp", "token_malformed", () => claims({ exp: undefined })],
  ["an exp of 1e999", "token_malformed", () => claims({ exp: "1e999" })],
  ["a fractional iat", "token_malformed", () => claims({ iat: relay.now() - 0.5 })],
  ["a client id that no client has the form of", "token_malformed", () => claims({ iss: "__proto__" })],
  ["a client id in a list", "token_malformed", () => claims({ iss: ["dev"] })],
  ["a digest by another algorithm", "token_malformed", () => claims({ digest: "sha-512=:AAAA:" })],
  ["a framing of -1", "token_malformed", () => claims({ framing: -1 })],
];

const TIMES: readonly Row[] = [
  ["expired", "token_expired", () => claims({ iat: relay.now() - 70, exp: relay.now() - 10 })],
  [
    "expired by a day",
    "token_expired",
    () => claims({ iat: relay.now() - 86_400, exp: relay.now() - 86_340 }),
  ],
  ["from the future", "token_premature", () => claims({ iat: relay.now() + 30, exp: relay.now() + 60 })],
  [
    "from the next year",
    "token_premature",
    () => claims({ iat: relay.now() + 3e7, exp: relay.now() + 3e7 + 60 }),
  ],
  ["good for 61 seconds", "token_lifetime", () => claims({ iat: relay.now(), exp: relay.now() + 61 })],
  ["good for ever", "token_lifetime", () => claims({ exp: Number.MAX_SAFE_INTEGER })],
  ["ended before it began", "token_lifetime", () => claims({ iat: relay.now(), exp: relay.now() - 1 })],
];

const PURPOSES: readonly Row[] = [
  ["for another edge", "token_audience", () => claims({ aud: "https://other.example.com" })],
  ["for the edge with a slash", "token_audience", () => claims({ aud: `${relay.stack.edge}/` })],
  ["for a list of edges", "token_audience", () => claims({ aud: [relay.stack.edge] })],
  ["for a node", "token_audience", () => claims({ aud: "node-1" })],
  ["for nobody", "token_audience", () => claims({ aud: undefined })],
  ["no typ", "token_type", () => header({ typ: undefined })],
  ["typ JWT", "token_type", () => header({ typ: "JWT" })],
  ["typ of an administrative token", "token_type", () => header({ typ: "holdfast-admin+jwt" })],
  ["typ of a grant", "token_type", () => header({ typ: "holdfast-grant+jwt" })],
  ["typ in another case", "token_type", () => header({ typ: TYP.toUpperCase() })],
  ["typ in a list", "token_type", () => header({ typ: [TYP] })],
  ...["admin", "stream", "proxy", "url", "enqueue", "FETCH", ""].map((act): Row => [
    `the act of another door, "${act}"`,
    "token_act",
    () => claims({ act }),
  ]),
  ["no act", "token_act", () => claims({ act: undefined })],
  ["an unknown client", "client_unknown", () => claims({ iss: "nobody" })],
  ["a client named as what every object has", "client_unknown", () => claims({ iss: "constructor" })],
  ["the operator as a client", "client_unknown", () => claims({ iss: "dev-operator" })],
  ["an unknown node", "node_unknown", () => claims({ node: "node-3" })],
  ["a node named as what every object has", "node_unknown", () => claims({ node: "__proto__" })],
  ["no node's name", "node_unknown", () => claims({ node: "" })],
];

const randomSignature = () => randomBytes(64);
const x = () => relay.stack.keys.client.publicJwk.x!;
const spki = () =>
  `-----BEGIN PUBLIC KEY-----\n${Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(x(), "base64url")]).toString("base64")}\n-----END PUBLIC KEY-----\n`;
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const confused = (alg: string, signer: Changes["signer"] & object): Changes => ({ header: { alg }, signer });

const SIGNATURES: readonly Row[] = [
  ["alg none without a signature", "token_malformed", () => confused("none", unsigned)],
  ["alg none with some signature", "token_signature", () => confused("none", randomSignature)],
  ["alg None", "token_signature", () => confused("None", randomSignature)],
  ["a good signature under alg none", "token_signature", () => header({ alg: "none" })],
  [
    "HS256 under the public key's bytes",
    "token_signature",
    () => confused("HS256", hmac(Buffer.from(x(), "base64url"))),
  ],
  ["HS256 under the public key's text", "token_signature", () => confused("HS256", hmac(x()))],
  ["HS256 under the public key's PEM", "token_signature", () => confused("HS256", hmac(spki()))],
  [
    "HS256 under the public JWK",
    "token_signature",
    () => confused("HS256", hmac(JSON.stringify(relay.stack.keys.client.publicJwk))),
  ],
  ["HS256 under nothing", "token_signature", () => confused("HS256", hmac(""))],
  [
    "HS512 under the public key's bytes",
    "token_signature",
    () => confused("HS512", hmac(Buffer.from(x(), "base64url"), "sha512")),
  ],
  [
    "HMAC under the algorithm of the key",
    "token_signature",
    () => ({ signer: hmac(Buffer.from(x(), "base64url")) }),
  ],
  ["ES256 of a stranger's", "token_signature", () => confused("ES256", es256(p256.privateKey))],
  ["ES256 with r and s of zero", "token_signature", () => confused("ES256", () => Buffer.alloc(64))],
  ["Ed25519 with a signature of zeros", "token_signature", () => ({ signer: () => Buffer.alloc(64) })],
  [
    "a stranger's key under the older name of the algorithm",
    "token_signature",
    () => confused("EdDSA", ed25519(stranger.privateKey)),
  ],
  ["no alg", "token_signature", () => header({ alg: undefined })],
  ["a stranger's key", "token_signature", () => ({ signer: ed25519(stranger.privateKey) })],
  [
    "a stranger's key, sent along",
    "token_signature",
    () => ({
      header: { jwk: stranger.publicKey.export({ format: "jwk" }) },
      signer: ed25519(stranger.privateKey),
    }),
  ],
  [
    "a stranger's key at a URL",
    "token_signature",
    () => ({
      header: { jku: `${relay.targetUrl}/keys`, x5u: `${relay.targetUrl}/cert` },
      signer: ed25519(stranger.privateKey),
    }),
  ],
  [
    "the operator's key",
    "token_signature",
    () => ({ signer: ed25519(privateKeyOf(relay.stack.keys.operator)) }),
  ],
  ["an unencoded payload (RFC 7797)", "token_malformed", () => header({ b64: false, crit: ["b64"] })],
  ["a critical extension that nobody knows", "token_signature", () => header({ crit: ["x"], x: 1 })],
  [
    "claims changed after signing",
    "token_signature",
    () => bearer(changed(relay.token(), { url: `${relay.targetUrl}/other` })),
  ],
  ["the signature of another token", "token_signature", () => bearer(spliced(relay.token(), relay.token()))],
];

/** A token whose claims are no longer those that were signed. */
function changed(token: string, changes: Record<string, unknown>): string {
  const [head, payload, signature] = token.split(".") as [string, string, string];
  const read = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
  return [head, Buffer.from(JSON.stringify({ ...read, ...changes })).toString("base64url"), signature].join(
    ".",
  );
}

function spliced(token: string, other: string): string {
  return [...token.split(".").slice(0, 2), other.split(".")[2]].join(".");
}

describe.each(["enveloped", "raw"] as const)("in the %s form", (form) => {
  test.each([...SHAPES, ...TIMES, ...PURPOSES, ...SIGNATURES])("%s: %s", async (_what, code, changes) => {
    const asked = changes();
    const { connections } = relay.target;
    const answer = await relay.ask({ form, ...asked });
    const { detail } = expectRefusal(answer, code);
    // A refusal that quoted what it refused would put tokens into logs.
    const secret = asked.authorization?.[0]?.split(".").at(-1) ?? "";
    if (secret.length > 20) expect(detail).not.toContain(secret);
    expect(relay.target.connections).toBe(connections);
    expect(relay.relayedAllTheSame()).toEqual([]);
  });
});
