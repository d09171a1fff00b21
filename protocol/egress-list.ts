import { base64url, decodeProtectedHeader, type JWK } from "jose";
import { RelayError } from "./errors.ts";
import { algorithmOf, importPublicKey } from "./keys.ts";
import { EGRESS_LIST_MAX_BYTES, EGRESS_LIST_SECONDS } from "./limits.ts";
import { checkTimes } from "./claims.ts";
import { TOKEN_TYPES, verifySignature } from "./tokens.ts";

/** One address that targets see. */
export interface ListedAddress {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  readonly node: string;
  readonly region?: string;
  /** `YYYY-MM-DD`. */
  readonly since: string;
}

/** A change that is planned: an address that will be used from a day on, or no more from a day on. */
export interface PlannedChange extends Omit<ListedAddress, "since"> {
  readonly change: "add" | "remove";
  /** `YYYY-MM-DD`. */
  readonly date: string;
}

/** What `/.well-known/egress.json` tells. */
export interface EgressList {
  /** The edge's origin. */
  readonly issuer: string;
  readonly addresses: readonly ListedAddress[];
  readonly planned: readonly PlannedChange[];
  /** The public keys that receipts are verified with, by node. */
  readonly nodes: readonly { readonly id: string; readonly region?: string; readonly key: JWK }[];
}

/** The same with its times, seconds since 1970: the payload of `/.well-known/egress.jwt`. */
export interface SignedEgressList extends EgressList {
  readonly iat: number;
  readonly exp: number;
}

/**
 * Proves that an edge published a list of addresses, and that it is fresh.
 *
 * @param jwt the compact JWS, as it was fetched
 * @param jwks the edge's public keys; where the JWS names a key by its `kid`, that one alone counts
 * @param issuer the edge's origin
 * @param now seconds since 1970
 * @throws RelayError `token_malformed`, `token_type`, `token_signature`, `token_audience` (another edge's list),
 * `token_expired`, `token_premature`, `token_lifetime`
 * @example const { addresses } = await verifyEgressList(jwt, jwks, "https://edge.example.com", now);
 */
export async function verifyEgressList(
  jwt: string,
  jwks: { readonly keys: readonly JWK[] },
  issuer: string,
  now: number,
): Promise<SignedEgressList> {
  const { kid, list } = read(jwt);
  // RFC 7517 section 5: keys of kinds that one doesn't know are passed over.
  const known = jwks.keys.filter(
    (key) => algorithmOf(key) !== undefined && (kid === undefined || key.kid === kid),
  );
  const keys = await Promise.all(known.map((key) => importPublicKey(key)));
  await verifySignature({ token: jwt, claims: {} }, keys);
  if (!isSignedEgressList(list)) throw malformed("its payload is no list of addresses");
  if (list.issuer !== issuer) throw new RelayError("token_audience", `the list is not one of ${issuer}`);
  checkTimes(list.iat, list.exp, now, EGRESS_LIST_SECONDS, {
    expired: "token_expired",
    premature: "token_premature",
    lifetime: "token_lifetime",
  });
  return list;
}

function read(jwt: string): { kid: string | undefined; list: unknown } {
  if (jwt.length > EGRESS_LIST_MAX_BYTES || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(jwt)) {
    throw malformed(`it is no compact JWS of at most ${EGRESS_LIST_MAX_BYTES} bytes`);
  }
  try {
    const { typ, kid, b64 } = decodeProtectedHeader(jwt);
    if (typ !== TOKEN_TYPES.egress) throw new RelayError("token_type", `typ is not ${TOKEN_TYPES.egress}`);
    if (b64 !== undefined) throw malformed("RFC 7797 section 7: a JWT has no b64 in its header");
    const payload = base64url.decode(jwt.split(".")[1]!);
    return {
      kid,
      list: JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(payload)),
    };
  } catch (cause) {
    if (cause instanceof RelayError) throw cause;
    throw malformed("its parts are no base64url of JSON", cause);
  }
}

function isSignedEgressList(value: unknown): value is SignedEgressList {
  return (
    isEgressList(value) &&
    "iat" in value &&
    Number.isSafeInteger(value.iat) &&
    "exp" in value &&
    Number.isSafeInteger(value.exp)
  );
}

/**
 * Whether all that is read of a list is there. Members that a later version adds are let through.
 * @example if (isEgressList(JSON.parse(text))) …
 */
export function isEgressList(value: unknown): value is EgressList {
  if (!isObject(value)) return false;
  const { issuer, addresses, planned, nodes } = value;
  return (
    typeof issuer === "string" &&
    isListOf(addresses, (entry) => isPlaced(entry) && isDay(entry["since"])) &&
    isListOf(planned, (entry) => isPlaced(entry) && isDay(entry["date"]) && isChange(entry["change"])) &&
    isListOf(nodes, ({ id, key }) => isName(id) && isObject(key))
  );
}

function isPlaced({ address, family, node, region }: Readonly<Record<string, unknown>>): boolean {
  return (
    typeof address === "string" &&
    /^[0-9a-f.:]{2,45}$/i.test(address) &&
    (family === "ipv4" || family === "ipv6") &&
    isName(node) &&
    (region === undefined || isName(region))
  );
}

/** What goes to terminals and logs is printable, whoever wrote it. */
function isName(value: unknown): boolean {
  return typeof value === "string" && /^[^\p{C}]{1,100}$/u.test(value);
}

function isDay(value: unknown): boolean {
  return typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value);
}

function isChange(value: unknown): boolean {
  return value === "add" || value === "remove";
}

function isListOf(value: unknown, holds: (entry: Readonly<Record<string, unknown>>) => boolean): boolean {
  return Array.isArray(value) && value.every((entry) => isObject(entry) && holds(entry));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(why: string, cause?: unknown): RelayError {
  return new RelayError("token_malformed", `the signed list of addresses: ${why}`, { cause });
}
