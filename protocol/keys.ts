import { base64url, exportJWK, generateKeyPair, importJWK, importPKCS8, type JWK } from "jose";
import { RelayError } from "./errors.ts";

/** The algorithms a client may sign with. A key belongs to one of them; no token can choose. */
export const SIGNING_ALGORITHMS = ["Ed25519", "ES256"] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** A key together with the one algorithm it is used with. */
export interface BoundKey {
  readonly alg: SigningAlgorithm;
  readonly key: CryptoKey;
}

/** Signs bytes by a private key that this runtime holds in another form than WebCrypto's. */
export type SignBytes = (bytes: Uint8Array) => Uint8Array<ArrayBuffer>;

/** A key for signing tokens. */
export interface SigningKey {
  readonly alg: SigningAlgorithm;
  readonly key: CryptoKey | SignBytes;
  /** The edge's word for the key, where it is none that a client has registered. */
  readonly certificate?: string;
}

/** What an app has in `HOLDFAST_URL`. */
export interface RelayAddress {
  /** The edge's origin, which is also every token's audience. */
  readonly edge: string;
  readonly clientId: string;
  /** The private key as it stands in the URL; `importPrivateKey` reads it. Undefined: the platform tells who is asking. */
  readonly privateKey: string | undefined;
}

/** A client's id: it stands in URLs, logs and metric labels. */
export const CLIENT_ID = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** An RFC 7638 thumbprint: SHA-256 in unpadded base64url. */
export const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;

/** PKCS #8 (RFC 5958) up to the 32 bytes of the private key: RFC 8410 for Ed25519, RFC 5915 for P-256. */
const PKCS8_PREFIX = {
  Ed25519: "302e020100300506032b657004220420",
  ES256: "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420",
} as const;

/** What `HOLDFAST_URL` is to look like, for messages. */
const URL_FORM =
  "https://<client-id>:<private key>@<edge host>, or https://<client-id>@<edge host> where the platform tells who is asking";

/**
 * Parses `https://<client-id>:<private key>@<edge>`, or the same without `:<private key>` where there is none: then the platform's
 * word for who is asking takes its place. Plain http is taken for a loopback edge alone, as in development.
 *
 * @throws RelayError `request_invalid`; the message never holds the key
 */
export function parseRelayUrl(relayUrl: string | undefined): RelayAddress {
  const bad = (why: string) => new RelayError("request_invalid", `HOLDFAST_URL ${why}`);
  if (relayUrl === undefined || relayUrl === "") {
    throw bad(`is not set: it has the form ${URL_FORM}`);
  }
  let url: URL;
  try {
    url = new URL(relayUrl);
  } catch {
    // The parser's own error quotes its input, which holds the key.
    throw bad(`is no URL: it has the form ${URL_FORM}`);
  }
  const loopback =
    url.hostname === "localhost" || url.hostname === "[::1]" || /^127\.[0-9.]+$/.test(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && loopback)) {
    throw bad("must begin with https:// (http:// only for a loopback host)");
  }
  if (!CLIENT_ID.test(url.username)) throw bad("has no valid client id before the edge's host");
  // A key that was lost on the way, as an unset variable is, must not turn into another way to sign.
  if (url.password === "" && /^[^/]*\/\/[^/@]*:@/.test(relayUrl)) {
    throw bad(
      "has nothing between the colon and the @: put the private key there, or leave the colon out where the platform tells who is asking",
    );
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw bad("must end after the edge's host and port");
  }
  return { edge: url.origin, clientId: url.username, privateKey: url.password || undefined };
}

/**
 * Imports a private key as `HOLDFAST_URL` carries it: the 32 bytes in base64url for Ed25519, the same behind `es256.`
 * for P-256.
 *
 * @throws RelayError `request_invalid`; the message never holds the key
 */
export async function importPrivateKey(text: string): Promise<BoundKey> {
  const { alg, der } = readPrivateKey(text);
  const pem = `-----BEGIN PRIVATE KEY-----\n${btoa(String.fromCharCode(...der))}\n-----END PRIVATE KEY-----`;
  try {
    return { alg, key: await importPKCS8(pem, alg) };
  } catch {
    throw unreadableKey();
  }
}

/**
 * The same key as PKCS #8, for whoever imports it by other means.
 *
 * @throws RelayError `request_invalid` where it is none of 32 bytes; the message never holds the key
 */
export function readPrivateKey(text: string): {
  readonly alg: SigningAlgorithm;
  readonly der: Uint8Array<ArrayBuffer>;
} {
  const alg: SigningAlgorithm = text.startsWith("es256.") ? "ES256" : "Ed25519";
  try {
    const raw = base64url.decode(alg === "ES256" ? text.slice(6) : text);
    if (raw.length !== 32) throw new Error("not 32 bytes");
    return { alg, der: Uint8Array.from([...hex(PKCS8_PREFIX[alg]), ...raw]) };
  } catch {
    throw unreadableKey();
  }
}

/** The cause is left out on purpose: a parser's message may quote the key. */
function unreadableKey(): RelayError {
  return new RelayError(
    "request_invalid",
    "the private key in HOLDFAST_URL can't be read: it is 43 characters of base64url",
  );
}

/** A fresh key pair: the public JWK for the registry, the private text for `HOLDFAST_URL`. */
export async function generateClientKey(
  alg: SigningAlgorithm = "Ed25519",
): Promise<{ publicJwk: JWK; privateKey: string }> {
  const pair = await generateKeyPair(alg, { extractable: true });
  const { d, ...publicJwk } = await exportJWK(pair.privateKey);
  return {
    publicJwk: { ...publicJwk, alg },
    privateKey: `${alg === "ES256" ? "es256." : ""}${d ?? ""}`,
  };
}

/** Which algorithm a public JWK is bound to, by its type and curve; undefined where it is none of ours. */
export function algorithmOf(jwk: JWK): SigningAlgorithm | undefined {
  if (jwk.kty === "OKP" && jwk.crv === "Ed25519") return "Ed25519";
  if (jwk.kty === "EC" && jwk.crv === "P-256") return "ES256";
  return undefined;
}

/**
 * Imports a public JWK with the algorithm that its type fixes.
 * @throws RelayError `request_invalid`
 */
export async function importPublicKey(jwk: JWK): Promise<BoundKey> {
  const alg = algorithmOf(jwk);
  if (alg === undefined || "d" in jwk) {
    throw new RelayError("request_invalid", "a key must be a public Ed25519 or P-256 JWK");
  }
  try {
    const { kty, crv, x, y } = jwk;
    const key = await importJWK({ kty, crv, x, ...(y !== undefined && { y }) } as JWK, alg);
    if (key instanceof Uint8Array) throw new Error("symmetric");
    return { alg, key };
  } catch (cause) {
    throw new RelayError("request_invalid", "a public key can't be imported", { cause });
  }
}

function hex(text: string): number[] {
  return text.match(/../g)!.map((byte) => Number.parseInt(byte, 16));
}
