import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErrorCode } from "../../protocol/errors.ts";
import { hmac, unsigned } from "../support/compact-jws.ts";
import {
  type ExchangeChanges,
  formOf,
  type KeylessStack,
  newWorkloadKey,
  proofOf,
  seconds,
  startKeyless,
  type WorkloadKey,
} from "../support/keyless.ts";
import type { OidcIssuer } from "../support/oidc-issuer.ts";
import { expectRefusal } from "../support/refusal.ts";

/** What `POST /token` takes besides a platform's token: the proof of a key, and the form. */

let stack: KeylessStack;
let issuer: OidcIssuer;
let key: WorkloadKey;

beforeAll(async () => {
  stack = await startKeyless();
  issuer = stack.issuers.issuer("/acme", stack.pool.edge);
  key = await newWorkloadKey();
  await stack.register("ci", { issuers: [{ issuer: issuer.url, claims: { repository: "acme/shop" } }] });
});
afterAll(() => stack.stop());

const exchange = (token: string, changes: Partial<ExchangeChanges> = {}) =>
  stack.exchange({ client: "ci", token, key, ...changes });

describe("no certificate for a proof", () => {
  type Proof = NonNullable<ExchangeChanges["proof"]>;
  test.each<[what: string, code: ErrorCode, proof: Proof | (() => Promise<Proof>)]>([
    ["of another kind", "proof_invalid", { header: { typ: "JWT" } }],
    ["without its key", "proof_invalid", { header: { jwk: undefined } }],
    [
      "with a private key",
      "proof_invalid",
      { header: { jwk: { kty: "OKP", crv: "Ed25519", x: "AA", d: "AA" } } },
    ],
    ["with a symmetric key", "proof_invalid", { header: { jwk: { kty: "oct", k: "AA" } } }],
    ["with an RSA key", "proof_invalid", { header: { jwk: { kty: "RSA", n: "AA", e: "AQAB" } } }],
    [
      "by another key than its own",
      "proof_invalid",
      async () => ({ signer: (await newWorkloadKey()).signer }),
    ],
    ["that nobody signed", "proof_invalid", { header: { alg: "none" }, signer: unsigned }],
    ["by HMAC", "proof_invalid", { header: { alg: "HS256" }, signer: hmac("x") }],
    ["of another method", "proof_invalid", { claims: { htm: "GET" } }],
    ["for another URL", "proof_invalid", { claims: { htu: "https://edge.example.com/token" } }],
    ["for another route", "proof_invalid", async () => ({ claims: { htu: `${stack.pool.edge}/fetch` } })],
    ["without id", "proof_invalid", { claims: { jti: undefined } }],
    ["with an id of 129 characters", "proof_invalid", { claims: { jti: "x".repeat(129) } }],
    ["without time", "proof_invalid", { claims: { iat: undefined } }],
    ["of two minutes ago", "token_expired", { claims: { iat: seconds() - 120 } }],
    ["to come", "token_premature", { claims: { iat: seconds() + 60 } }],
  ])("%s: %s", async (_what, code, proof) => {
    const changes = typeof proof === "function" ? await proof() : proof;
    expectRefusal(await exchange(issuer.token("github"), { proof: changes }), code);
  });

  test("that isn't there, or is there twice", async () => {
    const proof = proofOf(key, stack.pool.edge);
    for (const fields of [[], [`DPoP: ${proof}`, `DPoP: ${proof}`]]) {
      expectRefusal(await exchange(issuer.token("github"), { fields }), "proof_invalid");
    }
  });

  test("that was used before", async () => {
    const fields = [`DPoP: ${proofOf(key, stack.pool.edge)}`];
    expect((await exchange(issuer.token("github"), { fields }))?.status).toBe(200);
    expectRefusal(await exchange(issuer.token("github"), { fields }), "token_replayed", "no");
    // Another key may use the same id.
    const own = { claims: { jti: "mine" } };
    for (const other of [key, await newWorkloadKey()]) {
      expect((await exchange(issuer.token("github"), { key: other, proof: own }))?.status).toBe(200);
    }
  });
});

describe("a form is refused", () => {
  const TOKEN = "eyJhbGciOiJub25lIn0.e30.c2VjcmV0";
  test.each<[what: string, code: ErrorCode, changes: Partial<ExchangeChanges>, told: RegExp]>([
    [
      "with everything wrong, every problem at once",
      "request_invalid",
      {
        form: { grant_type: "password", subject_token_type: "x", client_id: "No", subject_token: undefined },
      },
      /grant_type is not .*; subject_token_type is not .*; client_id is .*; subject_token is not there/,
    ],
    [
      "that asks for another token",
      "request_invalid",
      { form: { requested_token_type: "urn:x" } },
      /requested_token_type/,
    ],
    ["with an actor", "request_invalid", { form: { actor_token: "x" } }, /actor_token has no place/],
    ["that is too long", "too_large", { body: `subject_token=${"x".repeat(20_480)}` }, /at most 20480 bytes/],
    [
      "with a member twice",
      "request_invalid",
      { body: `${formOf({ client: "ci", token: TOKEN })}&client_id=app` },
      /client_id is there more than once/,
    ],
  ])("%s", async (_what, code, changes, told) => {
    const { detail } = expectRefusal(await exchange(TOKEN, changes), code);
    expect(detail).toMatch(told);
    expect(detail).not.toContain(TOKEN);
  });

  test("of another type, or by another method", async () => {
    const body = formOf({ client: "ci", token: TOKEN });
    const length = `Content-Length: ${body.length}`;
    for (const type of ["application/json", "text/plain", "application/x-www-form-urlencoded2"]) {
      const answer = await stack.ask([`Content-Type: ${type}`, length], "POST /token", body);
      expectRefusal(answer, "request_invalid");
    }
    expectRefusal(await stack.ask([], "GET /token"), "not_found");
  });
});
