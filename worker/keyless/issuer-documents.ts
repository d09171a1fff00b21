import { base64url, importJWK, type JWK } from "jose";
import { ISSUER_KEYS_MAX } from "../limits.ts";
import { isSecure } from "../loopback.ts";

/** An issuer's key, with the names of the one algorithm that it is used with. */
export interface IssuerKey {
  readonly key: CryptoKey;
  readonly algs: readonly string[];
}

/** Which algorithms a type of key may be used with; the first one where the key doesn't say. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  RSA: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  "EC P-256": ["ES256"],
  "EC P-384": ["ES384"],
  "OKP Ed25519": ["Ed25519", "EdDSA"],
};

/** RFC 7518 section 3.3 wants 2048 bits; more than 8192 only cost time. */
const RSA_BYTES = { min: 256, max: 1_024 };

/** A public exponent has at most 32 bits: a longer one makes each verification slow. */
const RSA_EXPONENT_MAX_BYTES = 4;

/** Where an issuer says where its keys are (OpenID Connect Discovery 1.0 section 4). */
export function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
}

/**
 * The URL of an issuer's keys, out of its discovery document.
 * @throws Error that says what is wrong
 */
export function readDiscovery(document: unknown, issuer: string): string {
  const { issuer: said, jwks_uri: uri } = (document ?? {}) as Readonly<Record<string, unknown>>;
  if (said !== issuer) throw new Error("its document is another issuer's");
  const url = typeof uri === "string" ? URL.parse(uri) : null;
  if (url === null || !isSecure(url) || url.username !== "" || url.password !== "") {
    throw new Error("its jwks_uri is no https URL");
  }
  return url.href;
}

/**
 * The keys that may verify a token, by their `kid`. What is of no use here is left out: a set may hold more than that.
 * @throws Error that says what is wrong
 */
export function readKeys(document: unknown): ReadonlyMap<string, JWK> {
  const { keys } = (document ?? {}) as Readonly<Record<string, unknown>>;
  if (!Array.isArray(keys) || keys.length > ISSUER_KEYS_MAX) {
    throw new Error(`its keys are no list of at most ${ISSUER_KEYS_MAX}`);
  }
  const found = new Map<string, JWK>();
  for (const jwk of keys as readonly unknown[]) {
    if (!isUsable(jwk) || found.has(jwk.kid)) continue;
    found.set(jwk.kid, jwk);
  }
  return found;
}

/**
 * Imports an issuer's key, for the algorithm that it says or that its type has.
 * @throws Error where it can't be
 */
export async function importIssuerKey(jwk: JWK): Promise<IssuerKey> {
  const algs = algorithmsOf(jwk)!;
  const { kty, crv, x, y, n, e } = jwk;
  const parts = { kty, crv, x, y, n, e };
  const key = await importJWK(
    Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined)) as JWK,
    algs[0],
  );
  if (key instanceof Uint8Array) throw new Error("a key is symmetric");
  return { key, algs };
}

function isUsable(value: unknown): value is JWK & { readonly kid: string } {
  if (typeof value !== "object" || value === null) return false;
  const jwk = value as JWK;
  if (typeof jwk.kid !== "string" || (jwk.use !== undefined && jwk.use !== "sig")) return false;
  if (Array.isArray(jwk.key_ops) && !jwk.key_ops.includes("verify")) return false;
  if (algorithmsOf(jwk) === undefined) return false;
  return jwk.kty !== "RSA" || isStrongRsa(jwk);
}

function algorithmsOf({ kty, crv, alg }: JWK): readonly string[] | undefined {
  const name = kty === "RSA" ? kty : `${kty} ${crv}`;
  const possible = Object.hasOwn(ALGORITHMS, name) ? ALGORITHMS[name]! : undefined;
  // RFC 9864: two names of one algorithm.
  if (possible === undefined || kty === "OKP") return possible;
  if (alg === undefined) return possible.slice(0, 1);
  return possible.includes(alg) ? [alg] : undefined;
}

function isStrongRsa({ n, e }: JWK): boolean {
  try {
    const modulus = base64url.decode(n!);
    const zeros = modulus.findIndex((byte) => byte !== 0);
    const bytes = zeros === -1 ? 0 : modulus.length - zeros;
    // 2048 bits, the highest of them set.
    if (bytes < RSA_BYTES.min || bytes > RSA_BYTES.max) return false;
    if (bytes === RSA_BYTES.min && modulus[zeros]! < 0x80) return false;
    return base64url.decode(e!).length <= RSA_EXPONENT_MAX_BYTES;
  } catch {
    return false;
  }
}
