import { compactVerify, decodeProtectedHeader } from "jose";
import { RelayError } from "./errors.ts";
import type { BoundKey } from "./keys.ts";
import { TOKEN_MAX_BYTES } from "./limits.ts";
import { DOTTED_IPV4 } from "./targets.ts";
import { TOKEN_TYPES } from "./tokens.ts";

/** Claims of a receipt: what a node says of one call, signed when the head of the target's answer has come. */
export interface ReceiptClaims {
  /** The node's id; also the token's `kid`. */
  readonly iss: string;
  /** The edge's origin. */
  readonly aud: string;
  /** Client id. */
  readonly sub: string;
  /** The request's id, the same as the request token's jti. */
  readonly jti: string;
  /** When the head of the answer came, in seconds since 1970. */
  readonly iat: number;
  readonly htm: string;
  /** The target's host, with its port where it is not the scheme's own. No path: a receipt may be shown to others. */
  readonly target: string;
  /** The published address that the target saw. */
  readonly egress: string;
  /** The target's address that was dialled. */
  readonly dialed: string;
  /** For instance `TLSv1.3`; null for plain http. */
  readonly tls: string | null;
  readonly status: number;
  /** Bytes of the request's body that had been passed on by then. */
  readonly bytes_up: number;
  /** Length of the answer's body as its head declares it; null where it doesn't. */
  readonly bytes_down: number | null;
}

/** What a caller knows of its own call; the receipt must say the same. */
export interface ReceiptContext {
  /** The node that the answer names, and the public keys it has published. */
  readonly node: string;
  readonly keys: readonly BoundKey[];
  readonly edge: string;
  readonly clientId: string;
  readonly jti: string;
  readonly method: string;
  /** As in `ReceiptClaims.target`. */
  readonly target: string;
  readonly status: number;
}

/**
 * Proves a receipt and that it is the one for this very call.
 *
 * @throws RelayError `receipt_invalid`
 * @example (await verifyReceipt(response.headers.get("relay-receipt"), context)).egress // "203.0.113.10"
 */
export async function verifyReceipt(receipt: string | null, context: ReceiptContext): Promise<ReceiptClaims> {
  if (receipt === null) throw invalid("the answer has none");
  if (receipt.length > TOKEN_MAX_BYTES || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(receipt)) {
    throw invalid("it is no compact JWS of a permitted size");
  }
  const claims = await proven(receipt, context);
  if (!hasShape(claims)) throw invalid("a claim is missing or of another type");
  const differs = (
    [
      ["iss", context.node],
      ["aud", context.edge],
      ["sub", context.clientId],
      ["jti", context.jti],
      ["htm", context.method],
      ["target", context.target],
      ["status", context.status],
    ] as const
  ).find(([name, expected]) => claims[name] !== expected);
  if (differs !== undefined) throw invalid(`its ${differs[0]} is not that of the call`);
  return claims;
}

async function proven(receipt: string, { node, keys }: ReceiptContext): Promise<unknown> {
  for (const { alg, key } of keys) {
    // Nodes sign with Ed25519 alone. The header is covered by the signature, so it is read behind it.
    if (alg !== "Ed25519") continue;
    try {
      const { payload } = await compactVerify(receipt, key, { algorithms: ["Ed25519"] });
      const { typ, kid, b64 } = decodeProtectedHeader(receipt);
      if (typ === TOKEN_TYPES.receipt && kid === node && b64 === undefined) {
        return JSON.parse(
          new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(payload),
        ) as unknown;
      }
    } catch {
      // The next key may be the one.
    }
  }
  throw invalid(`no published key of ${node.slice(0, 64)} verifies it`);
}

const STRINGS = ["iss", "aud", "sub", "jti", "htm", "target", "egress", "dialed"] as const;

function hasShape(value: unknown): value is ReceiptClaims {
  if (typeof value !== "object" || value === null) return false;
  const claims = value as Partial<Record<keyof ReceiptClaims, unknown>>;
  return (
    STRINGS.every((name) => typeof claims[name] === "string") &&
    (claims.tls === null || typeof claims.tls === "string") &&
    isCount(claims.iat) &&
    isCount(claims.status) &&
    isCount(claims.bytes_up) &&
    (claims.bytes_down === null || isCount(claims.bytes_down))
  );
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function invalid(why: string): RelayError {
  return new RelayError("receipt_invalid", `the receipt does not hold: ${why}`);
}

/**
 * An IP address in the one form that equal addresses share: an IPv6 address as RFC 5952 writes it. Undefined for what is
 * no address, odd forms of IPv4 (`010.0.0.1`, `0x7f.1`) and zones included.
 *
 * @example canonicalAddress("2001:DB8:0::1") // "2001:db8::1"
 */
export function canonicalAddress(text: string): string | undefined {
  if (DOTTED_IPV4.test(text)) return text;
  if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(":")) return undefined;
  return URL.parse(`http://[${text}]`)?.hostname.slice(1, -1);
}
