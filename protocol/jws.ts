import { base64url, type ProtectedHeaderParameters } from "jose";
import type { BoundKey, SignBytes, SigningAlgorithm } from "./keys.ts";

/**
 * Compact JWS (RFC 7515 section 7.1) straight by WebCrypto, with keys that are imported: what a request is proven and granted by costs
 * half of it less than by a library that is open to every kind of key.
 */

/** WebCrypto's names of the algorithms that a key may be bound to, and of a grant's. */
const PARAMETERS = {
  Ed25519: { name: "Ed25519" },
  ES256: { name: "ECDSA", hash: "SHA-256" },
  HS256: { name: "HMAC", hash: "SHA-256" },
} as const;

/** What a header may call them. RFC 9864 renamed EdDSA with this curve to Ed25519; older signers know the old name alone. */
const NAMES: Readonly<Record<SigningAlgorithm, readonly string[]>> = {
  Ed25519: ["Ed25519", "EdDSA"],
  ES256: ["ES256"],
};

const encoder = new TextEncoder();

/** The header of a compact JWS as it stands in front. */
export function encodeHeader(header: ProtectedHeaderParameters): string {
  return base64url.encode(JSON.stringify(header));
}

/**
 * Signs claims.
 * @param header as `encodeHeader` gives it, naming the same algorithm
 */
export async function signCompact(
  header: string,
  claims: object,
  alg: keyof typeof PARAMETERS,
  key: CryptoKey | SignBytes,
): Promise<string> {
  const input = `${header}.${base64url.encode(JSON.stringify(claims))}`;
  const bytes = encoder.encode(input);
  const signature =
    typeof key === "function"
      ? key(bytes)
      : new Uint8Array(await crypto.subtle.sign(PARAMETERS[alg], key, bytes));
  return `${input}.${base64url.encode(signature)}`;
}

/**
 * Whether a key has signed a compact JWS, by the one algorithm that it is bound to. Extensions that must be understood (`crit`) are
 * not.
 *
 * @param token whose parts are of base64url's characters alone
 * @param header the token's own
 * @throws Error where its signature is no base64url
 */
export async function isSignedBy(
  token: string,
  header: ProtectedHeaderParameters,
  { alg, key }: BoundKey,
): Promise<boolean> {
  if (header.alg === undefined || !NAMES[alg].includes(header.alg) || header.crit !== undefined) return false;
  const end = token.lastIndexOf(".");
  const signature = base64url.decode(token.slice(end + 1)) as Uint8Array<ArrayBuffer>;
  return crypto.subtle.verify(PARAMETERS[alg], key, signature, encoder.encode(token.slice(0, end)));
}
