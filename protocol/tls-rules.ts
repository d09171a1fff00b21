import { TARGET_CA_MAX, TARGET_CA_MAX_BYTES, TARGET_PINS_MAX } from "./limits.ts";

/** The versions that can be asked for at least; the lower one holds in any case. */
export const TLS_VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

/**
 * What a client's record asks of TLS to a target, as its grant says it. All of it comes on top of the verification that is
 * always made.
 */
export interface TlsRules {
  /** The only authorities that are trusted, in place of the public ones: certificates as base64 of their DER. */
  readonly ca?: readonly string[];
  /** One of them has to be the key of a certificate of the verified chain: `sha256/<base64 of the SPKI's SHA-256>` (RFC 7469). */
  readonly pins?: readonly string[];
  readonly min?: TlsVersion;
}

/** 32 bytes in base64 with no unused bit set: another spelling of the same pin would never match. */
const PIN = /^sha256\/[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** Whether a text is a pin. */
export function isPin(value: unknown): value is string {
  return typeof value === "string" && PIN.test(value);
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Whether a value is a grant's `tls`. A rule that this version doesn't know is none that it could leave out.
 * @example areTlsRules({ min: "TLSv1.3" }) // true
 */
export function areTlsRules(value: unknown): value is TlsRules {
  if (typeof value !== "object" || value === null) return false;
  const { ca, pins, min, ...unknown } = value as Record<keyof TlsRules, unknown>;
  return (
    Object.keys(unknown).length === 0 &&
    (ca === undefined ||
      (isList(ca, TARGET_CA_MAX, isEncoded) && ca.join("").length <= TARGET_CA_MAX_BYTES)) &&
    (pins === undefined || isList(pins, TARGET_PINS_MAX, isPin)) &&
    (min === undefined || TLS_VERSIONS.some((version) => version === min))
  );
}

function isEncoded(value: unknown): value is string {
  return typeof value === "string" && value !== "" && BASE64.test(value);
}

function isList<T>(value: unknown, max: number, is: (one: unknown) => one is T): value is readonly T[] {
  return Array.isArray(value) && value.length > 0 && value.length <= max && value.every((one) => is(one));
}
