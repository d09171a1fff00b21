import { checkTimes } from "./claims.ts";
import {
  badClaims,
  type GrantContext,
  type GrantKey,
  type GrantLimits,
  type GrantSource,
  invalidGrant,
  provenGrant,
  signGrantClaims,
} from "./grants.ts";
import { PROXY_GRANT_MAX_BYTES, PROXY_GRANT_SECONDS } from "./limits.ts";
import {
  type AllowedTarget,
  isAllowed,
  parseAllowedTarget,
  parseTargetUrl,
  parseTunnelUrl,
} from "./targets.ts";

/**
 * Claims of a proxy grant: what the edge lets one node do for one user of its proxy door, as often as it is asked to until it
 * expires. Times are seconds since 1970.
 */
export interface ProxyGrantClaims extends GrantSource {
  /** The edge's origin. */
  readonly iss: string;
  /** The node's id. */
  readonly aud: string;
  /** Client id. */
  readonly sub: string;
  readonly act: "proxy";
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  /** `tcp://host:port`: tunnels to it. `http://host[:port]`: requests to that origin, in the absolute form. */
  readonly target: string;
  /**
   * Only with `http:`: lists of targets, as `parseAllowedTarget` reads them. In each list one has to admit a request's method
   * and URL. Left out: every request is admitted.
   */
  readonly within?: readonly (readonly string[])[];
  /** What the node is to hold the client to: its share of the client's limits. */
  readonly limits?: GrantLimits;
}

/** What a node asks its edge when somebody wants to use its proxy door, as JSON. */
export interface ProxyQuestion {
  /** The client's id as the user gave it; left out where a bearer came. */
  readonly user?: string;
  /** A scope token whose act is `proxy`, or the handle that stands for one. */
  readonly credential: string;
  /** As the grant's. */
  readonly target: string;
}

/** Signs a proxy grant. */
export function signProxyGrant(claims: ProxyGrantClaims, key: GrantKey): Promise<string> {
  return signGrantClaims(claims, key);
}

/**
 * Judges a proxy grant: signature first, then every claim.
 * @throws RelayError `grant_invalid`, `grant_node`, `grant_expired`
 */
export function verifyProxyGrant(token: string, context: GrantContext): ProxyGrantClaims {
  if (token.length > PROXY_GRANT_MAX_BYTES) throw invalidGrant("it is longer than a proxy grant may be");
  const claims = provenGrant(token, context, "proxy") as Partial<ProxyGrantClaims>;
  if (
    typeof claims.target !== "string" ||
    !isProxyTarget(claims.target) ||
    (claims.within !== undefined && !areRules(claims.within))
  ) {
    throw badClaims();
  }
  checkProxyGrantTimes(claims as ProxyGrantClaims, context.now);
  return claims as ProxyGrantClaims;
}

/**
 * Whether a proxy grant is alive.
 * @param now seconds since 1970
 * @throws RelayError `grant_invalid`, `grant_expired`
 */
export function checkProxyGrantTimes({ iat, exp }: ProxyGrantClaims, now: number): void {
  checkTimes(iat, exp, now, PROXY_GRANT_SECONDS, {
    expired: "grant_expired",
    premature: "grant_expired",
    lifetime: "grant_invalid",
  });
}

/** Whether a text is what a proxy grant may name: a tunnel's end, or an origin with the scheme http, in canonical form. */
export function isProxyTarget(target: string): boolean {
  try {
    if (target.startsWith("tcp:")) return `tcp://${parseTunnelUrl(target).authority}` === target;
    const { scheme, origin } = parseTargetUrl(target);
    return scheme === "http" && origin === target;
  } catch {
    return false;
  }
}

/**
 * Whether a grant for an origin admits one request to it.
 *
 * @param rules of `rulesOf`
 * @param url inside the grant's origin
 */
export function isWithin(rules: ProxyRules, method: string, url: ReturnType<typeof parseTargetUrl>): boolean {
  return rules.every((allow) => isAllowed(allow, method, url));
}

/** The rules of a grant, ready for use. */
export type ProxyRules = readonly (readonly AllowedTarget[])[];

/** @throws RelayError `request_invalid` where an entry can't be read */
export function rulesOf({ within = [] }: ProxyGrantClaims): ProxyRules {
  return within.map((entries) => entries.map((entry) => parseAllowedTarget(entry)));
}

function areRules(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every((entries) => Array.isArray(entries) && entries.every((entry) => typeof entry === "string"))
  );
}
