import { base64url } from "jose";
import { RelayError } from "./errors.ts";
import { isMethod } from "./headers.ts";
import { encodeHeader, signCompact } from "./jws.ts";
import { CLIENT_ID, THUMBPRINT } from "./keys.ts";
import { GRANT_MAX_BYTES, GRANT_MAX_SECONDS, GRANT_TAIL_MAX_BYTES } from "./limits.ts";
import { checkTimes, type Framing, isFraming, isResume, type RequestAct, type Resume } from "./claims.ts";
import { areTlsRules, type TlsRules } from "./tls-rules.ts";
import { REQUEST_ID, TOKEN_TYPES } from "./tokens.ts";

/** What a grant goes back to: whatever of it is revoked takes the grant with it. */
export interface GrantSource {
  /** RFC 7638 thumbprint of the client's key that signed. An edge older than its node leaves it out. */
  readonly key?: string;
  /** Of what is good for more than one request: the id of the handle, or the scope token's `jti`. */
  readonly cred?: string;
  /** Where a platform vouches for who signed: the id of the rule of the client's record that lets that workload in. */
  readonly rule?: string;
}

/** Claims of a grant: what the edge lets one node do once for one client. Times are seconds since 1970. */
export interface GrantClaims extends GrantSource {
  /** The edge's origin. */
  readonly iss: string;
  /** The node's id. */
  readonly aud: string;
  /** Client id. */
  readonly sub: string;
  readonly act: RequestAct;
  readonly iat: number;
  readonly exp: number;
  /** The request's id, the same as the request token's jti. */
  readonly jti: string;
  /** When the request token was signed: a node refuses what is older than its memory. */
  readonly tat: number;
  readonly htm: string;
  readonly url: string;
  readonly framing: Framing;
  readonly digest?: string;
  /** Random, one for each time that the edge serves a request: tells its own second attempt from a replay. */
  readonly pass: string;
  /** How many attempts of this pass went before this one, at other nodes. */
  readonly attempt: number;
  /** The signer says that doing it twice is the same as once. */
  readonly idempotent?: boolean;
  /** The node is to sign from where the request left. */
  readonly receipt?: boolean;
  /** Bytes that follow the body on the wire and are no part of it: the node begins only when all of them have come. */
  readonly tail?: number;
  /** Only with `stream`: the one that goes on. */
  readonly resume?: Resume;
  /** Only with `stream`: the node answers at once, and dials when it is told to, if the grant may still be begun then. */
  readonly park?: boolean;
  /** What the client's record asks of TLS to the target. */
  readonly tls?: TlsRules;
  /** What the node is to hold the client to: its share of the client's limits. */
  readonly limits?: GrantLimits;
}

/** A client's limits at one node; what is left out is not limited. */
export interface GrantLimits {
  /** Requests per second. */
  readonly rate?: number;
  /** Requests at once. */
  readonly concurrent?: number;
  /** Bytes of bodies and streams per second, both ways together. */
  readonly bytes?: number;
  /** Streams at once. */
  readonly streams?: number;
  /** Seconds that a stream may carry nothing, either way. */
  readonly idle?: number;
  /** Seconds that a stream may last. */
  readonly lifetime?: number;
}

/** A fresh `pass`: 64 random bits in base64url. */
export function newPass(): string {
  return base64url.encode(crypto.getRandomValues(new Uint8Array(8)));
}

/** HMAC key that the edge shares with one node, as the edge signs with it. */
export type GrantKey = CryptoKey;

/** The same key as a node has it. At once: WebCrypto's own verification goes by another thread, which takes many times as long. */
export interface GrantVerifier {
  /**
   * Whether a text was signed under this key, in constant time.
   * @param mac HMAC with SHA-256, in base64url
   */
  verifies(text: string, mac: string): boolean;
}

const HS256 = { name: "HMAC", hash: "SHA-256" } as const;

/**
 * The key for one node, derived from the edge's master key by HKDF (RFC 5869): 32 bytes that forge grants for this node
 * and no other.
 *
 * @param master the master key's bytes, at least 32
 * @example base64url.encode(await deriveGrantKey(master, "fra-1")) // what the node's grantKeyFile holds
 */
export async function deriveGrantKey(
  master: Uint8Array<ArrayBuffer>,
  nodeId: string,
): Promise<Uint8Array<ArrayBuffer>> {
  if (master.length < 32) {
    throw new RelayError("edge_misconfigured", "the grant master key is shorter than 32 bytes");
  }
  const key = await crypto.subtle.importKey("raw", master, "HKDF", false, ["deriveBits"]);
  const info = new TextEncoder().encode(`holdfast grant v1\n${nodeId}`);
  return new Uint8Array(
    await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info }, key, 256),
  );
}

/** Imports a derived key, for signing at the edge. */
export function importGrantKey(bytes: Uint8Array<ArrayBuffer>): Promise<GrantKey> {
  return crypto.subtle.importKey("raw", bytes, HS256, false, ["sign"]);
}

/** A grant's protected header, and as it stands in one. */
const HEADER_TEXT = encodeHeader({ alg: "HS256", typ: TOKEN_TYPES.grant });

/** Signs a grant. */
export function signGrant(claims: GrantClaims, key: GrantKey): Promise<string> {
  return signGrantClaims(claims, key);
}

/** The same for a grant of any kind. */
export function signGrantClaims(claims: object, key: GrantKey): Promise<string> {
  return signCompact(HEADER_TEXT, claims, "HS256", key);
}

/** What a node knows of itself when it judges a grant. */
export interface GrantContext {
  readonly edge: string;
  readonly nodeId: string;
  /** Current and next. */
  readonly keys: readonly GrantVerifier[];
  /** Seconds since 1970. */
  readonly now: number;
}

/**
 * Judges a grant: signature first, then every claim.
 * @throws RelayError `grant_missing`, `grant_invalid`, `grant_node`, `grant_expired`
 */
export function verifyGrant(
  authorization: string | undefined,
  context: GrantContext,
  act: RequestAct = "fetch",
): GrantClaims {
  if (authorization === undefined || authorization === "") {
    throw new RelayError("grant_missing", "no grant came with the request");
  }
  const token = /^Bearer (.+)$/.exec(authorization)?.[1];
  if (token === undefined || token.length > GRANT_MAX_BYTES) {
    throw invalidGrant("it is no compact JWS of a permitted size");
  }
  const claims: Partial<GrantClaims> = provenGrant(token, context, act);
  if (
    typeof claims.htm !== "string" ||
    !isMethod(claims.htm) ||
    typeof claims.url !== "string" ||
    !isFraming(claims.framing) ||
    !Number.isSafeInteger(claims.tat) ||
    (claims.digest !== undefined && typeof claims.digest !== "string") ||
    typeof claims.pass !== "string" ||
    !/^[\w-]{11,22}$/.test(claims.pass) ||
    !isCount(claims.attempt) ||
    (claims.idempotent !== undefined && typeof claims.idempotent !== "boolean") ||
    (claims.receipt !== undefined && typeof claims.receipt !== "boolean") ||
    (claims.tail !== undefined && (!isCount(claims.tail) || claims.tail > GRANT_TAIL_MAX_BYTES)) ||
    (claims.tls !== undefined && !areTlsRules(claims.tls)) ||
    (claims.resume !== undefined && (act !== "stream" || !isResume(claims.resume))) ||
    (claims.park !== undefined &&
      (act !== "stream" || typeof claims.park !== "boolean" || claims.resume !== undefined))
  ) {
    throw badClaims();
  }
  checkGrantTimes(claims as GrantClaims, context.now);
  return claims as GrantClaims;
}

/**
 * Whether a grant may be begun now.
 * @param now seconds since 1970
 * @throws RelayError `grant_invalid`, `grant_expired`
 */
export function checkGrantTimes({ iat, exp }: GrantClaims, now: number): void {
  checkTimes(iat, exp, now, GRANT_MAX_SECONDS, {
    expired: "grant_expired",
    premature: "grant_expired",
    lifetime: "grant_invalid",
  });
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function areLimits(value: unknown): value is GrantLimits {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((limit) => typeof limit === "number" && limit > 0 && Number.isFinite(limit))
  );
}

/**
 * The claims of a grant of any kind: whose it is, for whom, by what, what for and when, and the limits, are judged; but not whether it is
 * alive, and nothing of what its kind has besides.
 *
 * @throws RelayError `grant_invalid`, `grant_node`
 */
export function provenGrant(token: string, context: GrantContext, act: string): object {
  const claims = signedClaims(token, context.keys);
  const { aud, iss, sub, jti, iat, exp, limits, key, cred, rule } = claims;
  // Who signed is settled; a grant for another node tells of a wrong configuration, so it has its own code.
  if (aud !== context.nodeId) throw new RelayError("grant_node", `this is node ${context.nodeId}`);
  if (iss !== context.edge) throw invalidGrant("iss is not this node's edge");
  if (claims.act !== act) throw invalidGrant(`act is not ${act}`);
  if (
    typeof sub !== "string" ||
    !CLIENT_ID.test(sub) ||
    typeof jti !== "string" ||
    !REQUEST_ID.test(jti) ||
    !Number.isSafeInteger(iat) ||
    !Number.isSafeInteger(exp) ||
    (key !== undefined && (typeof key !== "string" || !THUMBPRINT.test(key))) ||
    (cred !== undefined && (typeof cred !== "string" || !REQUEST_ID.test(cred))) ||
    (rule !== undefined && (typeof rule !== "string" || !THUMBPRINT.test(rule))) ||
    (limits !== undefined && !areLimits(limits))
  ) {
    throw badClaims();
  }
  return claims;
}

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const UTF8 = new TextDecoder();
const BEYOND_ASCII = /[^\0-\x7f]/;

function signedClaims(token: string, keys: readonly GrantVerifier[]): Partial<GrantClaims> {
  if (!COMPACT_JWS.test(token)) throw invalidGrant("it is no compact JWS of a permitted size");
  const headerEnd = token.indexOf(".");
  const payloadEnd = token.lastIndexOf(".");
  const signed = token.slice(0, payloadEnd);
  const mac = token.slice(payloadEnd + 1);
  if (!keys.some((key) => key.verifies(signed, mac))) {
    throw invalidGrant("no grant key of this node verifies it");
  }
  const header = token.slice(0, headerEnd);
  const payload = token.slice(headerEnd + 1, payloadEnd);
  // The edge writes every grant's header alike: what differs is no grant of any version.
  if (header !== HEADER_TEXT) throw invalidGrant("typ is not that of a grant");
  const claims = objectIn(payload);
  if (claims === undefined) throw invalidGrant("its payload is no object");
  return claims;
}

function objectIn(payload: string): object | undefined {
  try {
    // Hardly a grant has more than ASCII, which is read at a fifth of the cost.
    const text = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const value: unknown = JSON.parse(
      BEYOND_ASCII.test(text) ? UTF8.decode(base64url.decode(payload)) : text,
    );
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A grant whose claims are not what they have to be. */
export function badClaims(): RelayError {
  return invalidGrant("a claim is missing or of another type");
}

/** A grant that is not good for what it came with. */
export function invalidGrant(why: string): RelayError {
  return new RelayError("grant_invalid", why);
}

/**
 * Decodes a grant key file's text.
 * @throws RelayError `request_invalid`; the message never holds the key
 */
export function grantKeyBytes(text: string): Uint8Array<ArrayBuffer> {
  if (!/^\s*[\w-]{43}\s*$/.test(text)) {
    throw new RelayError("request_invalid", "a grant key is 32 bytes in base64url");
  }
  return Uint8Array.from(base64url.decode(text.trim()));
}
