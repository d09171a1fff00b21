import { base64url, calculateJwkThumbprint, compactVerify, type JWK } from "jose";
import { RelayError } from "../../protocol/errors.ts";
import { algorithmOf, importPublicKey } from "../../protocol/keys.ts";
import { CLOCK_LEEWAY_SECONDS } from "../../protocol/limits.ts";
import { decodeParts, isClaims, type TokenParts } from "../../protocol/tokens.ts";
import { PROOF_ID_MAX_BYTES, PROOF_SECONDS } from "../limits.ts";

/** A proof that has the right shape; its signature is not looked at yet. */
export interface UnprovenProof {
  readonly proof: string;
  /** The public key, and nothing else of its JWK. */
  readonly jwk: JWK;
  readonly jti: string;
  /** Seconds since 1970. */
  readonly iat: number;
}

/** Which key a caller holds. */
export interface Possession {
  readonly jwk: JWK;
  /** RFC 7638. */
  readonly thumbprint: string;
}

/**
 * Reads a proof of possession (RFC 9449 section 4.3) for one call by POST.
 *
 * @param proof the field DPoP
 * @param url the call's, without query
 * @param now seconds since 1970
 * @throws RelayError `proof_invalid`, `token_expired`, `token_premature`
 */
export function readProof(proof: string | null, url: string, now: number): UnprovenProof {
  if (proof === null) throw invalid("there is none: it stands in the field DPoP");
  const { header, claims } = decoded(proof);
  const { typ, b64, jwk } = header;
  if (typ !== "dpop+jwt" || b64 !== undefined) throw invalid("typ is not dpop+jwt");
  if (!isPublic(jwk)) throw invalid("jwk is no public Ed25519 or P-256 key");
  const { htm, htu, iat, jti } = claims;
  if (htm !== "POST") throw invalid("htm is not POST");
  if (htu !== url) throw invalid(`htu is not ${url}`);
  if (typeof jti !== "string" || jti === "" || jti.length > PROOF_ID_MAX_BYTES) {
    throw invalid(`jti is no text of 1 to ${PROOF_ID_MAX_BYTES} characters`);
  }
  if (typeof iat !== "number" || !Number.isFinite(iat)) throw invalid("iat is not seconds since 1970");
  if (iat > now + CLOCK_LEEWAY_SECONDS) {
    throw new RelayError("token_premature", `the proof's iat lies ${Math.ceil(iat - now)} s in the future`);
  }
  if (now >= iat + PROOF_SECONDS + CLOCK_LEEWAY_SECONDS) {
    throw new RelayError("token_expired", `the proof was made ${Math.floor(now - iat)} s ago`);
  }
  const { kty, crv, x, y } = jwk;
  return { proof, jti, iat, jwk: { kty, crv, x, ...(y !== undefined && { y }) } as JWK };
}

/**
 * Proves that whoever made a proof holds its key.
 * @throws RelayError `proof_invalid`
 */
export async function proveProof({ proof, jwk }: UnprovenProof): Promise<Possession> {
  try {
    const { alg, key } = await importPublicKey(jwk);
    await compactVerify(proof, key, { algorithms: alg === "Ed25519" ? ["Ed25519", "EdDSA"] : [alg] });
  } catch {
    throw invalid("its own key does not verify it");
  }
  return { jwk, thumbprint: await calculateJwkThumbprint(jwk) };
}

/** What a proof is remembered by, so that it is good once: nothing that its maker chose stands in the registry. */
export async function proofId({ thumbprint }: Possession, { jti }: UnprovenProof): Promise<string> {
  const text = new TextEncoder().encode(`${thumbprint}\n${jti}`);
  return `proof:${base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", text)))}`;
}

/** Members of private and symmetric keys (RFC 7518 section 6). */
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

function isPublic(jwk: unknown): jwk is JWK {
  return (
    typeof jwk === "object" &&
    jwk !== null &&
    algorithmOf(jwk) !== undefined &&
    !PRIVATE.some((name) => name in jwk)
  );
}

function decoded(proof: string) {
  let parts: TokenParts;
  try {
    parts = decodeParts(proof);
  } catch {
    throw invalid("it is not one compact JWS of JSON");
  }
  const { header, claims } = parts;
  if (!isClaims(claims)) throw invalid("its payload is no object");
  return { header, claims };
}

function invalid(why: string): RelayError {
  return new RelayError("proof_invalid", `the proof of possession is refused: ${why}`);
}
