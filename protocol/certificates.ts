import type { JWK } from "jose";
import { checkTimes } from "./claims.ts";
import { isRelayError, RelayError } from "./errors.ts";
import { algorithmOf, type BoundKey, CLIENT_ID } from "./keys.ts";
import { CERTIFICATE_MAX_BYTES, CERTIFICATE_MAX_SECONDS } from "./limits.ts";
import { isClaims, readBearer, REQUEST_ID, signToken, type Unverified, verifySignature } from "./tokens.ts";

/** Who a platform said that a workload is: as much of its token as the client's record looked at. */
export interface PlatformIdentity {
  /** The issuer's URL. */
  readonly iss: string;
  readonly sub: string;
  readonly claims: Readonly<Record<string, string | boolean>>;
}

/** Claims of a certificate: a key stands for a client for a while, by the edge's word. Times are seconds since 1970. */
export interface CertificateClaims {
  /** The edge's origin. */
  readonly iss: string;
  /** The same: a certificate is for its own edge alone. */
  readonly aud: string;
  /** Client id. */
  readonly sub: string;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  /** RFC 7800: the public key. */
  readonly cnf: { readonly jwk: JWK };
  readonly platform: PlatformIdentity;
}

/**
 * Signs a certificate.
 * @param key the edge's own
 * @throws RelayError `platform_token_refused` where it would be longer than a token's header may hold
 */
export async function signCertificate(
  claims: CertificateClaims,
  key: BoundKey,
  kid: string | undefined,
): Promise<string> {
  const certificate = await signToken("certificate", claims, key, kid);
  if (certificate.length <= CERTIFICATE_MAX_BYTES) return certificate;
  throw new RelayError(
    "platform_token_refused",
    `the claims that the client's record looks at are too long for a certificate of ${CERTIFICATE_MAX_BYTES} bytes`,
  );
}

/**
 * Proves that this edge signed a certificate. Whether it is still in time, and whose it is, comes after.
 *
 * @param origin the edge's origin
 * @param key the public half of the edge's own
 * @throws RelayError `certificate_invalid`
 */
export async function verifyCertificate(
  certificate: string,
  origin: string,
  key: BoundKey,
): Promise<CertificateClaims> {
  if (certificate.length > CERTIFICATE_MAX_BYTES) {
    throw certificateInvalid(`it has more than ${CERTIFICATE_MAX_BYTES} bytes`);
  }
  let unverified: Unverified;
  try {
    unverified = readBearer("certificate", `Bearer ${certificate}`);
    await verifySignature(unverified, [key]);
  } catch (error) {
    if (!isRelayError(error)) throw error;
    throw certificateInvalid("this edge has not signed it");
  }
  const { claims } = unverified;
  if (!hasShape(claims)) throw certificateInvalid("a claim is missing or of another type");
  if (claims.iss !== origin || claims.aud !== origin) throw certificateInvalid("it is another edge's");
  return claims;
}

/**
 * Whether a proven certificate is in time.
 * @param now seconds since 1970
 * @throws RelayError `certificate_expired`, `certificate_invalid`
 */
export function checkCertificateTimes({ iat, exp }: CertificateClaims, now: number): void {
  checkTimes(iat, exp, now, CERTIFICATE_MAX_SECONDS, {
    expired: "certificate_expired",
    premature: "certificate_invalid",
    lifetime: "certificate_invalid",
  });
}

/** A certificate that proves nothing here. */
export function certificateInvalid(why: string): RelayError {
  return new RelayError("certificate_invalid", `the certificate does not hold: ${why}`);
}

function hasShape(value: object): value is CertificateClaims {
  const claims = value as Partial<Record<keyof CertificateClaims, unknown>>;
  const { cnf, platform } = claims as {
    readonly cnf?: Partial<CertificateClaims["cnf"]> | null;
    readonly platform?: Partial<PlatformIdentity> | null;
  };
  return (
    typeof claims.sub === "string" &&
    CLIENT_ID.test(claims.sub) &&
    Number.isSafeInteger(claims.iat) &&
    Number.isSafeInteger(claims.exp) &&
    typeof claims.jti === "string" &&
    REQUEST_ID.test(claims.jti) &&
    isClaims(cnf?.jwk) &&
    algorithmOf(cnf.jwk) !== undefined &&
    typeof platform?.iss === "string" &&
    typeof platform.sub === "string" &&
    isClaims(platform.claims)
  );
}
