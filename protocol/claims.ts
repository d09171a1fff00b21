import { type DeliveryOptions, isDeliveryOptions } from "./deliveries.ts";
import { type ErrorCode, RelayError } from "./errors.ts";
import { isMethod } from "./headers.ts";
import { CLIENT_ID } from "./keys.ts";
import {
  ADMIN_TOKEN_MAX_SECONDS,
  CLOCK_LEEWAY_SECONDS,
  METHOD_MAX_BYTES,
  NODE_CHOICE_MAX,
  REQUEST_TOKEN_MAX_SECONDS,
  SCOPE_ALLOW_MAX,
} from "./limits.ts";
import { malformed, REQUEST_ID } from "./tokens.ts";

/** The framing of a body on the wire: none at all, a Content-Length, or chunked. */
export type Framing = "none" | "chunked" | number;

/** What a request token is for: one act for each door that takes it. */
export type RequestAct = "fetch" | "cancel" | "stream" | "resolve" | "enqueue" | "delivery";

/** Where a stream that lost its connection goes on. */
export interface Resume {
  /** The stream's id, as its node told it. */
  readonly stream: string;
  /** Bytes that the client has received, and has sent, since the stream was opened. */
  readonly received: number;
  readonly sent: number;
}

/** Claims of a request token: one request, signed by the client. Times are seconds since 1970. */
export interface RequestClaims {
  /** Client id. */
  readonly iss: string;
  /** The edge's origin. */
  readonly aud: string;
  /**
   * `fetch` makes a request; `cancel` gives up the one with the same jti; `stream` opens one or resumes it; `resolve` asks for
   * a service's hosts; `enqueue` hands one over to be made later; `delivery` asks how that one is, by its URL at the edge.
   */
  readonly act: RequestAct;
  readonly iat: number;
  readonly exp: number;
  /** 128 random bits in base64url: the request's id, good once. */
  readonly jti: string;
  readonly htm: string;
  /** The whole target URL, byte for byte as it is to be sent; `tcp://host:port` of a stream. */
  readonly url: string;
  /** Required in the enveloped form; a raw caller may leave it to what it sends. */
  readonly framing?: Framing;
  /** RFC 9530 member of the body, `sha-256=:…:`, where the body was at hand. */
  readonly digest?: string;
  /** The one node, or the few, that the call may be made by. */
  readonly node?: string | readonly string[];
  /** The signer says that doing it twice is the same as once, whatever the method. */
  readonly idempotent?: boolean;
  /** The node is to sign from where the request left. */
  readonly receipt?: boolean;
  /** Only with `stream`: the one that goes on, which `node` has. */
  readonly resume?: Resume;
  /** Only with `stream`, and not with `resume`: the node answers at once, and dials when it is told to. */
  readonly park?: boolean;
  /** Only with `enqueue`. */
  readonly delivery?: DeliveryOptions;
}

/** What a scope token is for: one act for each door that takes it. */
export const SCOPE_ACTS = ["stream", "proxy", "url"] as const;
export type ScopeAct = (typeof SCOPE_ACTS)[number];

/** Claims of a scope token: many requests, each to one of a few targets, signed by the client. */
export interface ScopeClaims {
  /** Client id. */
  readonly iss: string;
  /** The edge's origin. */
  readonly aud: string;
  readonly act: ScopeAct;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  /** Targets, as `parseAllowedTarget` reads them; each has to be inside what the client itself may reach. */
  readonly allow: readonly string[];
  /** The one node, or the few, that may be used. */
  readonly node?: string | readonly string[];
}

/** Claims of an administrative token: one call to `/admin/*`, signed by an operator. */
export interface AdminClaims {
  /** The id of the operator's key. */
  readonly iss: string;
  readonly aud: string;
  readonly act: "admin";
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  readonly htm: string;
  /** The whole URL at the edge. */
  readonly url: string;
  readonly digest?: string;
}

/** RFC 9530 section 2, one member with the one algorithm that is used here. */
const DIGEST = /^sha-256=:[A-Za-z0-9+/]{43}=:$/;

/**
 * The claims of a request token, checked against the edge and its clock, before the signature: cheap refusals first.
 *
 * @param origin the edge's own origin
 * @param now seconds since 1970
 * @param act the door's own
 * @throws RelayError `token_malformed`, `token_audience`, `token_act`, `token_expired`, `token_premature`, `token_lifetime`
 */
export function checkRequestClaims(
  claims: Readonly<Record<string, unknown>>,
  origin: string,
  now: number,
  act: RequestAct = "fetch",
): RequestClaims {
  checkCommon(claims, { act, origin, now, lifetime: REQUEST_TOKEN_MAX_SECONDS });
  if (!CLIENT_ID.test(claims["iss"] as string)) throw malformed("iss is no client id");
  if (claims["framing"] !== undefined && !isFraming(claims["framing"])) {
    throw malformed('framing is neither "none", "chunked" nor a length');
  }
  checkNodeChoice(claims);
  const { resume } = claims;
  if (resume !== undefined && (act !== "stream" || !isResume(resume))) {
    throw malformed("resume is not a stream's id with two counts of bytes");
  }
  const { park } = claims;
  if (park !== undefined && (act !== "stream" || typeof park !== "boolean" || resume !== undefined)) {
    throw malformed("park is neither true nor false, or stands where no stream is opened");
  }
  const { delivery } = claims;
  if (delivery !== undefined && (act !== "enqueue" || !isDeliveryOptions(delivery))) {
    throw malformed("delivery is not what POST /deliveries takes: key, lane, schedule, callback");
  }
  for (const name of ["idempotent", "receipt"]) {
    if (claims[name] !== undefined && typeof claims[name] !== "boolean") {
      throw malformed(`${name} is neither true nor false`);
    }
  }
  return claims as unknown as RequestClaims;
}

/**
 * The claims of a scope token. What it allows is not parsed here.
 *
 * @param act the door's own; several where what the token is for is not used yet
 * @param lifetime the longest that the token may live, in seconds
 * @throws RelayError as `checkRequestClaims`
 */
export function checkScopeClaims(
  claims: Readonly<Record<string, unknown>>,
  origin: string,
  now: number,
  act: ScopeAct | readonly ScopeAct[],
  lifetime: number,
): ScopeClaims {
  checkIssued(claims, { act, origin, now, lifetime });
  if (!CLIENT_ID.test(claims["iss"] as string)) throw malformed("iss is no client id");
  checkNodeChoice(claims);
  const { allow } = claims;
  if (
    !Array.isArray(allow) ||
    allow.length === 0 ||
    allow.length > SCOPE_ALLOW_MAX ||
    !allow.every((entry) => typeof entry === "string")
  ) {
    throw malformed(`allow is no list of 1 to ${SCOPE_ALLOW_MAX} targets`);
  }
  return claims as unknown as ScopeClaims;
}

/** The same for an administrative token. */
export function checkAdminClaims(
  claims: Readonly<Record<string, unknown>>,
  origin: string,
  now: number,
): AdminClaims {
  checkCommon(claims, { act: "admin", origin, now, lifetime: ADMIN_TOKEN_MAX_SECONDS });
  return claims as unknown as AdminClaims;
}

/** Whether a value is a digest claim: one RFC 9530 member with SHA-256. */
export function isDigest(value: unknown): value is string {
  return typeof value === "string" && DIGEST.test(value);
}

/** Whether a value is a framing claim. */
export function isFraming(value: unknown): value is Framing {
  return value === "none" || value === "chunked" || (Number.isSafeInteger(value) && (value as number) >= 0);
}

/** Whether a value says where a stream goes on. */
export function isResume(value: unknown): value is Resume {
  if (typeof value !== "object" || value === null) return false;
  const { stream, received, sent } = value as Partial<Resume>;
  const isCount = (count: unknown) => Number.isSafeInteger(count) && (count as number) >= 0;
  return typeof stream === "string" && REQUEST_ID.test(stream) && isCount(received) && isCount(sent);
}

function checkNodeChoice({ node }: Readonly<Record<string, unknown>>): void {
  if (node !== undefined && !isNodeChoice(node)) {
    throw malformed(`node is neither an id nor a list of 1 to ${NODE_CHOICE_MAX} ids`);
  }
}

function isNodeChoice(value: unknown): boolean {
  if (typeof value === "string") return true;
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= NODE_CHOICE_MAX &&
    value.every((id) => typeof id === "string")
  );
}

interface Common {
  readonly act: string | readonly string[];
  readonly origin: string;
  readonly now: number;
  readonly lifetime: number;
}

function checkCommon(claims: Readonly<Record<string, unknown>>, common: Common): void {
  const { htm, url, digest } = claims;
  if (typeof htm !== "string" || htm.length > METHOD_MAX_BYTES || !isMethod(htm)) {
    throw malformed("htm is no method");
  }
  // In any case: method names are case-sensitive, but some HTTP clients and servers fold them.
  if (/^(connect|trace)$/i.test(htm)) throw malformed(`htm ${htm} can't be relayed by this door`);
  if (typeof url !== "string") throw malformed("url is no string");
  if (digest !== undefined && !isDigest(digest)) {
    throw malformed("digest is not of the form sha-256=:…:");
  }
  checkIssued(claims, common);
}

/** What every token of a client's or an operator's says: who, for whom, what for, when. */
function checkIssued(
  claims: Readonly<Record<string, unknown>>,
  { act, origin, now, lifetime }: Common,
): void {
  const { iss, aud, iat, exp, jti } = claims;
  if (typeof iss !== "string") throw malformed("iss is no string");
  if (typeof jti !== "string" || !REQUEST_ID.test(jti)) throw malformed("jti is not 128 bits in base64url");
  if (!Number.isSafeInteger(iat) || !Number.isSafeInteger(exp)) {
    throw malformed("iat and exp are not whole seconds");
  }
  if (aud !== origin) throw new RelayError("token_audience", `aud is not this edge, ${origin}`);
  const acts: readonly unknown[] = [act].flat();
  if (!acts.includes(claims["act"])) throw new RelayError("token_act", `act is not ${acts.join(" or ")}`);
  checkTimes(iat as number, exp as number, now, lifetime, {
    expired: "token_expired",
    premature: "token_premature",
    lifetime: "token_lifetime",
  });
}

/**
 * The three rules of time, with leeway for clocks that differ.
 * @throws RelayError with the code given for the rule that is broken
 */
export function checkTimes(
  iat: number,
  exp: number,
  now: number,
  lifetime: number,
  codes: { readonly expired: ErrorCode; readonly premature: ErrorCode; readonly lifetime: ErrorCode },
): void {
  if (exp - iat > lifetime || exp < iat) {
    throw new RelayError(codes.lifetime, `exp must lie 0 to ${lifetime} seconds after iat`);
  }
  if (iat > now + CLOCK_LEEWAY_SECONDS) {
    throw new RelayError(codes.premature, `iat lies ${Math.ceil(iat - now)} s in the future`);
  }
  if (now >= exp + CLOCK_LEEWAY_SECONDS) {
    throw new RelayError(codes.expired, `exp passed ${Math.floor(now - exp)} s ago`);
  }
}
