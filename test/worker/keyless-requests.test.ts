import { setTimeout as pause } from "node:timers/promises";
import { generateKeyPairSync } from "node:crypto";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import type { CertificateClaims } from "../../protocol/certificates.ts";
import type { ScopeAct } from "../../protocol/claims.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { newRequestId, TOKEN_TYPES } from "../../protocol/tokens.ts";
import { askEdge } from "../support/asking-node.ts";
import { compact, ed25519, privateKeyOf } from "../support/compact-jws.ts";
import { takesStream } from "../support/fake-stream.ts";
import {
  type KeylessStack,
  newWorkloadKey,
  seconds,
  startKeyless,
  TARGET,
  type TokenParts,
  type WorkloadKey,
} from "../support/keyless.ts";
import type { OidcIssuer } from "../support/oidc-issuer.ts";
import { allRevocations } from "../support/operator-calls.ts";
import { expectRefusal } from "../support/refusal.ts";
import { openSocket } from "../support/stream-caller.ts";

/** What a certificate lets in. */

const DB = "tcp://db.example.com:5432";
let stack: KeylessStack;
let issuer: OidcIssuer;
let key: WorkloadKey;
let certificate: string;
/** The claims of that certificate, for those that are like it but for one thing. */
let claims: CertificateClaims;

const record = () => ({
  allow: [TARGET, DB],
  issuers: [{ issuer: issuer.url, claims: { repository: "acme/shop" } }],
});

beforeAll(async () => {
  stack = await startKeyless();
  stack.pool.nodes[0]!.upgrade = takesStream(() => {});
  issuer = stack.issuers.issuer("/acme", stack.pool.edge);
  key = await newWorkloadKey();
  for (const id of ["ci", "other"]) await stack.register(id, record());
  const now = seconds();
  const token = issuer.token("github", { claims: { iat: now, exp: now + 3_600 } });
  certificate = await stack.certify({ client: "ci", token, key });
  claims = decodeJwt(certificate) as unknown as CertificateClaims;
});
beforeEach(() => {
  expect(stack.pool.log()).not.toMatch(/eyJ/);
});
afterAll(() => stack.stop());

/** A certificate that only the edge could have signed. */
function signed(changes: object, header: object = {}): string {
  const { edgeSigningKey } = stack.pool.keys;
  const signer = ed25519(privateKeyOf({ publicJwk: edgeSigningKey, privateKey: edgeSigningKey.d! }));
  return compact(
    { alg: "Ed25519", typ: TOKEN_TYPES.certificate, ...header },
    { ...claims, ...changes },
    signer,
  );
}

const fetched = (changes: TokenParts = {}, by = key, client = "ci") => {
  const token = stack.request(by, client, { ...changes, header: { certificate, ...changes.header } });
  return stack.ask([`Relay-Authorization: Bearer ${token}`]);
};

const scope = (exp: number, by = key, act: ScopeAct = "stream") =>
  compact(
    { alg: by.alg, typ: TOKEN_TYPES.scope, certificate },
    {
      iss: "ci",
      aud: stack.pool.edge,
      act,
      iat: seconds(),
      exp,
      jti: newRequestId(),
      allow: [DB],
    },
    by.signer,
  );

describe("a request under a certificate", () => {
  test("goes to its target, by a grant like any other", async () => {
    const answer = await fetched({ claims: { jti: "AAECAwQFBgcICQoLDA0ODw" } });
    expect([answer?.status, answer?.field("relay-status"), answer?.body]).toEqual([200, "target", "ok"]);
    expect(stack.pool.nodes[0]!.sent.at(-1)!.grant).toMatchObject({
      sub: "ci",
      jti: "AAECAwQFBgcICQoLDA0ODw",
      htm: "GET",
      url: TARGET,
    });
  });

  test("may be signed by a P-256 key, and carry the longest URL", async () => {
    const ec = await newWorkloadKey("ES256");
    const allow = ["https://api.bank.com"];
    await stack.register("wide", { ...record(), allow });
    const own = await stack.certify({ client: "wide", token: issuer.token("github"), key: ec });
    const url = `https://api.bank.com/${"x".repeat(8_192 - 21)}`;
    const answer = await fetched({ claims: { url }, header: { certificate: own } }, ec, "wide");
    expect(answer?.field("relay-status")).toBe("target");
  });

  test.each<[what: string, code: ErrorCode, make: () => Promise<TokenParts> | TokenParts]>([
    ["without its certificate", "token_signature", () => ({ header: { certificate: undefined } })],
    ["with a certificate that is no text", "token_malformed", () => ({ header: { certificate: { x: 1 } } })],
    ["by another key", "token_signature", async () => ({ signer: (await newWorkloadKey()).signer })],
    ["whose certificate is another client's", "certificate_invalid", () => ({ claims: { iss: "other" } })],
    [
      "whose certificate says another client",
      "certificate_invalid",
      () => ({ header: { certificate: signed({ sub: "other" }) } }),
    ],
    [
      "whose certificate was changed to another key",
      "certificate_invalid",
      async () => {
        const thief = await newWorkloadKey();
        const [head, , signature] = certificate.split(".");
        const payload = Buffer.from(JSON.stringify({ ...claims, cnf: { jwk: thief.publicJwk } })).toString(
          "base64url",
        );
        return { header: { certificate: `${head}.${payload}.${signature}` }, signer: thief.signer };
      },
    ],
    [
      "whose certificate its own key signed",
      "certificate_invalid",
      () => ({
        header: {
          certificate: compact({ alg: "Ed25519", typ: TOKEN_TYPES.certificate }, claims, key.signer),
        },
      }),
    ],
    [
      "whose certificate is of another edge",
      "certificate_invalid",
      () => ({ header: { certificate: signed({ iss: "https://edge.example.com" }) } }),
    ],
    [
      "whose certificate is for another edge",
      "certificate_invalid",
      () => ({ header: { certificate: signed({ aud: "https://edge.example.com" }) } }),
    ],
    [
      "whose certificate is another kind of token",
      "certificate_invalid",
      () => ({ header: { certificate: signed({}, { typ: TOKEN_TYPES.egress }) } }),
    ],
    [
      "whose certificate has no key",
      "certificate_invalid",
      () => ({ header: { certificate: signed({ cnf: {} }) } }),
    ],
    [
      "whose certificate has an RSA key",
      "certificate_invalid",
      () => ({
        header: {
          certificate: signed({
            cnf: {
              jwk: generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({ format: "jwk" }),
            },
          }),
        },
      }),
    ],
    [
      "whose certificate says nothing of a platform",
      "certificate_invalid",
      () => ({ header: { certificate: signed({ platform: undefined }) } }),
    ],
    [
      "whose certificate lives for an hour",
      "certificate_invalid",
      () => ({ header: { certificate: signed({ exp: claims.iat + 3_600 }) } }),
    ],
    [
      "whose certificate is to come",
      "certificate_invalid",
      () => ({ header: { certificate: signed({ iat: seconds() + 60, exp: seconds() + 120 }) } }),
    ],
    [
      "whose certificate has ended",
      "certificate_expired",
      () => ({ header: { certificate: signed({ iat: seconds() - 900, exp: seconds() - 10 }) } }),
    ],
    [
      "whose workload the record never let in",
      "certificate_invalid",
      () => ({
        header: {
          certificate: signed({ platform: { ...claims.platform, claims: { repository: "evil/shop" } } }),
        },
      }),
    ],
    [
      "whose platform the record never trusted",
      "certificate_invalid",
      () => ({
        header: {
          certificate: signed({ platform: { ...claims.platform, iss: "https://evil.example.com" } }),
        },
      }),
    ],
    [
      "with a certificate of 3,073 bytes",
      "certificate_invalid",
      () => ({ header: { certificate: signed({ more: "x".repeat(2_000) }) } }),
    ],
    ["with a certificate that is none", "certificate_invalid", () => ({ header: { certificate: "x" } })],
    [
      "to what the client may not reach",
      "target_not_allowed",
      () => ({ claims: { url: "https://evil.example.com/" } }),
    ],
  ])("%s: %s", async (_what, code, make) => {
    const before = stack.pool.nodes[0]!.heads;
    expectRefusal(await fetched(await make()), code);
    expect(stack.pool.nodes[0]!.heads).toBe(before);
  });

  test("does not do for a client with keys alone", async () => {
    const theirs = signed({ sub: "app" });
    expectRefusal(await fetched({ header: { certificate: theirs } }, key, "app"), "certificate_invalid");
  });
});

describe("a scope token under a certificate", () => {
  const open = (credential: string) =>
    openSocket(stack.pool.edge, { path: `/stream/${credential}?address=db.example.com:5432`, protocols: [] });

  test("opens its streams", async () => {
    const { socket } = await open(scope(claims.exp));
    expect(socket).toBeDefined();
    socket!.close();
  });

  test("does not outlive it, and is signed by its key", async () => {
    expect((await open(scope(claims.exp + 1))).refused).toMatchObject({ code: "token_lifetime" });
    expect((await open(scope(claims.exp, await newWorkloadKey()))).refused).toMatchObject({
      code: "token_signature",
    });
  });

  test("is a proxy's password, too, for as long", async () => {
    const ask = (credential: string) => askEdge(stack.pool, { user: "ci", credential, target: DB });
    const { grant } = await ask(scope(claims.exp, key, "proxy"));
    expect(grant).toMatchObject({ sub: "ci", target: DB });
    expect(grant!.exp).toBeLessThanOrEqual(claims.exp);
    expect((await ask(scope(claims.exp + 1, key, "proxy"))).refused).toMatchObject({
      code: "token_lifetime",
    });
  });

  test("has no handle", async () => {
    const made = adminCall(stack.pool.operator, "POST", "/admin/handles", {
      body: { token: scope(claims.exp) },
    });
    await expect(made).rejects.toMatchObject({
      code: "request_invalid",
      detail: expect.stringContaining("registered key"),
    });
  });
});

test("what the record does not trust any more is refused within 10 s, whatever certificates there are", async () => {
  const request = () => fetched();
  expect((await request())?.status).toBe(200);
  const { rule } = stack.pool.nodes[0]!.sent.at(-1)!.grant;
  const proxied = await askEdge(stack.pool, { credential: scope(claims.exp, key, "proxy"), target: DB });
  expect(proxied.grant).toMatchObject({ rule });
  const rulesRevoked = async () =>
    (await allRevocations(stack.pool))
      .filter(({ kind }) => kind === "rule")
      .map(({ client, id }) => [client, id]);
  expect(await rulesRevoked()).toEqual([]);
  const [{ version }] = [await adminCall(stack.pool.operator, "GET", "/admin/clients/ci")];
  const start = Date.now();
  await stack.register(
    "ci",
    { ...record(), issuers: [{ issuer: issuer.url, claims: { repository: "acme/other" } }] },
    version,
  );
  // What runs by the rule ends with it.
  expect(await rulesRevoked()).toEqual([["ci", rule]]);
  for (;;) {
    const answer = await request();
    if (answer?.status !== 200) {
      expectRefusal(answer, "certificate_invalid");
      break;
    }
    expect(Date.now() - start).toBeLessThan(11_000);
    await pause(500);
  }
  const token = issuer.token("github");
  expectRefusal(await stack.exchange({ client: "ci", token, key }), "platform_token_refused");
});
