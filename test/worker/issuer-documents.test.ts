import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { importIssuerKey, readKeys } from "../../worker/keyless/issuer-documents.ts";

const rsa = (modulusLength: number, publicExponent = 65_537) =>
  generateKeyPairSync("rsa", { modulusLength, publicExponent }).publicKey.export({ format: "jwk" });
const ec = (namedCurve: string) =>
  generateKeyPairSync("ec", { namedCurve }).publicKey.export({ format: "jwk" });
const strong = rsa(2_048);

/** Keys as issuers publish them, and what a token may be signed with by each; nothing where the key is of no use. */
test.each<[what: string, jwk: object, algs: readonly string[] | undefined]>([
  ["RSA of 2048 bits", strong, ["RS256"]],
  ["RSA that says PS512", { ...strong, alg: "PS512" }, ["PS512"]],
  ["RSA of 1024 bits", rsa(1_024), undefined],
  ["RSA of 2040 bits", rsa(2_040), undefined],
  ["RSA with zeros in front", { ...rsa(1_024), n: Buffer.alloc(256).toString("base64url") }, undefined],
  ["RSA with a long exponent", { ...strong, e: Buffer.alloc(5, 1).toString("base64url") }, undefined],
  ["RSA without a modulus", { kty: "RSA", e: "AQAB" }, undefined],
  ["RSA for encryption by its algorithm", { ...strong, alg: "RSA-OAEP" }, undefined],
  ["RSA for HMAC by its algorithm", { ...strong, alg: "HS256" }, undefined],
  ["RSA for encryption", { ...strong, use: "enc" }, undefined],
  ["RSA that may only sign", { ...strong, key_ops: ["sign"] }, undefined],
  ["P-256", ec("P-256"), ["ES256"]],
  ["P-384", { ...ec("P-384"), alg: "ES384" }, ["ES384"]],
  ["P-256 for another curve's algorithm", { ...ec("P-256"), alg: "ES384" }, undefined],
  ["P-521", ec("P-521"), undefined],
  ["secp256k1", ec("secp256k1"), undefined],
  ["Ed25519", generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }), ["Ed25519", "EdDSA"]],
  ["a secret", { kty: "oct", k: "c2VjcmV0", alg: "HS256" }, undefined],
  ["a type of key by a name that every object has", { kty: "constructor" }, undefined],
])("%s", async (_what, jwk, algs) => {
  const key = readKeys({ keys: [{ ...jwk, kid: "k" }] }).get("k");
  expect(key === undefined ? undefined : (await importIssuerKey(key)).algs).toEqual(algs);
});

test("of two keys with one id the first that is of use is taken, and one without an id never", () => {
  const keys = readKeys({ keys: [{ ...rsa(1_024), kid: "k" }, { ...strong, kid: "k" }, ec("P-256")] });
  expect([...keys]).toEqual([["k", { ...strong, kid: "k" }]]);
});
