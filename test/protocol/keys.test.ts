import { describe, expect, test } from "vitest";
import { isRelayError } from "../../protocol/errors.ts";
import {
  algorithmOf,
  type BoundKey,
  generateClientKey,
  importPrivateKey,
  importPublicKey,
  parseRelayUrl,
  SIGNING_ALGORITHMS,
} from "../../protocol/keys.ts";
import { type RequestClaims } from "../../protocol/claims.ts";
import { newRequestId, readBearer, signToken, verifySignature } from "../../protocol/tokens.ts";
import { readVectors } from "../vectors/read.ts";
import { outcome, outcomeOf } from "./outcome.ts";

const { keys } = readVectors("request-tokens.json") as {
  keys: Record<string, { alg: string; publicJwk: JsonWebKey; privateKey: string }>;
};
const { privateKey: KEY, publicJwk: ED25519_JWK } = keys["ed25519"]!;
const { privateKey: ES256_KEY, publicJwk: ES256_JWK } = keys["es256"]!;

const CLAIMS: RequestClaims = {
  iss: "acme",
  aud: "https://edge.example.com",
  act: "fetch",
  iat: 1_767_225_600,
  exp: 1_767_225_660,
  jti: newRequestId(),
  htm: "GET",
  url: "https://api.bank.example/",
};

/** Whether what one key signs is proven by the other. */
async function proves(privateKey: BoundKey, publicKey: BoundKey): Promise<boolean> {
  const token = readBearer("request", `Bearer ${await signToken("request", CLAIMS, privateKey)}`);
  return !("error" in (await outcomeOf(() => verifySignature(token, [publicKey]))));
}

describe("parseRelayUrl", () => {
  test.for([
    [`https://acme:${KEY}@edge.example.com`, "https://edge.example.com", "acme", KEY],
    [`https://acme:${KEY}@edge.example.com/`, "https://edge.example.com", "acme", KEY],
    [`https://acme:${KEY}@EDGE.example.com:443`, "https://edge.example.com", "acme", KEY],
    [`https://acme:${KEY}@edge.example.com:8443`, "https://edge.example.com:8443", "acme", KEY],
    [`https://a_b-9:${ES256_KEY}@edge.example.com`, "https://edge.example.com", "a_b-9", ES256_KEY],
    [`http://acme:${KEY}@localhost:8787`, "http://localhost:8787", "acme", KEY],
    [`http://acme:${KEY}@127.0.0.1:8787`, "http://127.0.0.1:8787", "acme", KEY],
    [`http://acme:${KEY}@[::1]:8787`, "http://[::1]:8787", "acme", KEY],
    ["https://acme@edge.example.com", "https://edge.example.com", "acme", undefined],
    ["http://acme@localhost:8787", "http://localhost:8787", "acme", undefined],
  ] as const)("%s", ([relayUrl, edge, clientId, privateKey]) => {
    expect(parseRelayUrl(relayUrl)).toEqual({ edge, clientId, privateKey });
  });

  test.for([
    undefined,
    "",
    KEY,
    `acme:${KEY}@edge.example.com`,
    `//acme:${KEY}@edge.example.com`,
    `https://acme:${KEY}@`,
    `https://acme:${KEY}@:443`,
    `https://acme:${KEY}@edge.example.com:99999`,
    `https://acme:${KEY}@edge example.com`,
    `http://acme:${KEY}@edge.example.com`,
    `http://acme:${KEY}@127.0.0.1.evil.example`,
    `http://acme:${KEY}@localhost.evil.example`,
    `http://acme:${KEY}@10.0.0.1`,
    `ftp://acme:${KEY}@edge.example.com`,
    `wss://acme:${KEY}@edge.example.com`,
    "https://edge.example.com",
    "https://acme:@edge.example.com",
    "https://acme:@edge.example.com/",
    "https://Acme@edge.example.com",
    "https://acme@",
    "https://acme@edge.example.com/path",
    "http://acme@edge.example.com",
    "https://@edge.example.com",
    `https://:${KEY}@edge.example.com`,
    `https://${KEY}@edge.example.com`,
    `https://${KEY}:acme@edge.example.com`,
    `https://Acme:${KEY}@edge.example.com`,
    `https://-acme:${KEY}@edge.example.com`,
    `https://a%20b:${KEY}@edge.example.com`,
    `https://${"a".repeat(64)}:${KEY}@edge.example.com`,
    `https://acme:${KEY}@edge.example.com/path`,
    `https://acme:${KEY}@edge.example.com?${KEY}`,
    `https://acme:${KEY}@edge.example.com#${KEY}`,
  ])("%s is refused, and the key is not told", (relayUrl) => {
    expect(outcome(() => parseRelayUrl(relayUrl))).toEqual({ error: "request_invalid" });
    expectSecret(
      outcomeError(() => parseRelayUrl(relayUrl)),
      KEY,
    );
  });
});

describe("private keys", () => {
  test("both kinds are read, with the algorithm that their form fixes", async () => {
    expect(await importPrivateKey(KEY)).toMatchObject({
      alg: "Ed25519",
      key: { type: "private", extractable: false },
    });
    expect(await importPrivateKey(ES256_KEY)).toMatchObject({
      alg: "ES256",
      key: { type: "private", extractable: false },
    });
  });

  test.for([
    "",
    KEY.slice(1),
    `${KEY}A`,
    `${KEY.slice(0, 20)}!${KEY.slice(21)}`,
    `ES256.${KEY}`,
    `es256.${KEY}x`,
    `es256.${KEY.slice(4)}`,
    "es256.",
    // Neither zero nor the group's order is a P-256 private key.
    `es256.${"A".repeat(43)}`,
    "es256._____wAAAAD__________7zm-q2nF56E87nKwvxjJVE",
  ])("%s is refused, and the key is not told", async (text) => {
    const error = await importPrivateKey(text).catch((reason: unknown) => reason);
    expect(isRelayError(error) && error.code).toBe("request_invalid");
    expectSecret(error, text === "" ? KEY : text);
  });
});

describe("public keys", () => {
  test("both kinds are read, with the algorithm that their type fixes", async () => {
    expect(await importPublicKey(ED25519_JWK)).toMatchObject({ alg: "Ed25519", key: { type: "public" } });
    expect(await importPublicKey(ES256_JWK)).toMatchObject({ alg: "ES256", key: { type: "public" } });
    expect(algorithmOf(ED25519_JWK)).toBe("Ed25519");
    expect(algorithmOf(ES256_JWK)).toBe("ES256");
    expect(algorithmOf({ ...ES256_JWK, crv: "P-384" })).toBeUndefined();
    expect(algorithmOf({ ...ED25519_JWK, crv: "Ed448" })).toBeUndefined();
  });

  test("what a JWK says of its own use decides nothing", async () => {
    const jwk = { ...ED25519_JWK, alg: "HS256", use: "enc", key_ops: ["sign"] };
    expect(await importPublicKey(jwk)).toMatchObject({ alg: "Ed25519" });
  });

  test.for([
    ["none at all", {}],
    ["a secret", { kty: "oct", k: KEY }],
    ["RSA", { kty: "RSA", n: "AQAB", e: "AQAB" }],
    ["P-384", { ...ES256_JWK, crv: "P-384" }],
    ["secp256k1", { ...ES256_JWK, crv: "secp256k1" }],
    ["X25519", { ...ED25519_JWK, crv: "X25519" }],
    ["Ed25519 as EC", { ...ED25519_JWK, kty: "EC" }],
    ["a private key", { ...ED25519_JWK, d: KEY }],
    ["no x", { kty: "OKP", crv: "Ed25519" }],
    ["a short x", { ...ED25519_JWK, x: "AAAA" }],
    ["no y", { ...ES256_JWK, y: undefined }],
    ["a point off the curve", { ...ES256_JWK, y: ES256_JWK.x }],
  ] as [string, JsonWebKey][])("%s is refused", async ([, jwk]) => {
    expect(await outcomeOf(() => importPublicKey(jwk))).toEqual({ error: "request_invalid" });
  });
});

describe("generated keys", () => {
  test.for(SIGNING_ALGORITHMS)(
    "%s: what it signs, its public key proves, and another's does not",
    async (alg) => {
      const [mine, other] = await Promise.all([generateClientKey(alg), generateClientKey(alg)]);
      expect(mine.publicJwk).not.toHaveProperty("d");
      expect(mine.publicJwk.alg).toBe(alg);
      expect(JSON.stringify(mine.publicJwk)).not.toContain(mine.privateKey.replace("es256.", ""));
      const { privateKey } = parseRelayUrl(`https://acme:${mine.privateKey}@edge.example.com`);
      const key = await importPrivateKey(privateKey!);
      expect(await proves(key, await importPublicKey(mine.publicJwk))).toBe(true);
      expect(await proves(key, await importPublicKey(other.publicJwk))).toBe(false);
    },
  );

  test("Ed25519 is the default", async () =>
    expect(algorithmOf((await generateClientKey()).publicJwk)).toBe("Ed25519"));

  test("P-256 keys have 32 bytes also where the number is small", async () => {
    const generated = await Promise.all(Array.from({ length: 300 }, () => generateClientKey("ES256")));
    expect(generated.every(({ privateKey }) => privateKey.length === "es256.".length + 43)).toBe(true);
  });
});

function outcomeError(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

/** Neither a message nor anything that a logger would print with the error may hold the key, or half of it. */
function expectSecret(error: unknown, secret: string): void {
  expect(isRelayError(error)).toBe(true);
  if (!isRelayError(error)) return;
  const printed = [error.message, error.stack, JSON.stringify(error), String(error.cause)].join("\n");
  for (const part of [secret, secret.slice(0, 16), secret.slice(-16)]) {
    if (part.length >= 8) expect(printed).not.toContain(part);
  }
}
