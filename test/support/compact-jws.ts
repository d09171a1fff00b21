import { createHmac, createPrivateKey, type KeyObject, sign } from "node:crypto";
import type { JWK } from "jose";

/** Hand-made tokens: any header, any claims, any signature, as no library would let them be made. */

/** Signs a token's first two parts. */
export type Signer = (input: string) => Buffer;

export function ed25519(key: KeyObject): Signer {
  return (input) => sign(null, Buffer.from(input), key);
}

/** Width-fixed r and s, as JWS has them (RFC 7518 section 3.4). */
export function es256(key: KeyObject): Signer {
  return (input) => sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
}

export function hmac(key: string | Uint8Array, hash = "sha256"): Signer {
  return (input) => createHmac(hash, key).update(input).digest();
}

/** No signature at all. */
export const unsigned: Signer = () => Buffer.alloc(0);

/** A key pair as `generateClientKey` makes it, as a private key of Node's. */
export function privateKeyOf({ publicJwk, privateKey }: { publicJwk: JWK; privateKey: string }): KeyObject {
  return createPrivateKey({ key: { ...publicJwk, d: privateKey.replace(/^es256\./, "") }, format: "jwk" });
}

/**
 * @example compact({ alg: "none", typ: "holdfast-request+jwt" }, claims, unsigned)
 */
export function compact(header: unknown, payload: unknown, signer: Signer): string {
  const input = [header, payload].map((part) => encode(part)).join(".");
  return `${input}.${signer(input).toString("base64url")}`;
}

function encode(part: unknown): string {
  return Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
}
