import { RelayError } from "../protocol/errors.ts";
import { type GrantLimits, signGrant } from "../protocol/grants.ts";
import { GRANT_MAX_SECONDS, PROXY_GRANT_MAX_BYTES, PROXY_GRANT_SECONDS } from "../protocol/limits.ts";
import { signProxyGrant } from "../protocol/proxy-grants.ts";
import { parseTargetUrl } from "../protocol/targets.ts";
import type { TlsRules } from "../protocol/tls-rules.ts";
import { newRequestId } from "../protocol/tokens.ts";
import type { Authorized } from "./authorize.ts";
import type { AuthorizedProxy } from "./authorize-proxy.ts";
import { grantLimits } from "./client-limits.ts";
import type { Client } from "./clients.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge } from "./edge.ts";
import { tlsRulesFor } from "./target-tls.ts";

/** What tells one try of a request from another; in the grant, and so before the node. */
export interface Try {
  /** One for each time that the edge serves a request. */
  readonly pass: string;
  /** How many tries of this pass went before. */
  readonly attempt: number;
  readonly tail?: number | undefined;
}

/** What lets one node do what a token asks for. */
export async function grantFor(
  { client, claims, key, rule, cred, framing, pool }: Authorized,
  node: EdgeNode,
  edge: Edge,
  { pass, attempt, tail }: Try,
): Promise<string> {
  const { act, jti, iat, htm, url, digest, idempotent, receipt, resume, park } = claims;
  const tls = tlsOf(client, url);
  // A request may have waited at another node: the grant counts from now.
  const now = Math.floor(Date.now() / 1_000);
  return signGrant(
    {
      iss: edge.config.origin,
      aud: node.id,
      sub: client.id,
      ...(key !== undefined && { key }),
      ...(cred !== undefined && { cred }),
      ...(rule !== undefined && { rule }),
      act,
      iat: now,
      exp: now + GRANT_MAX_SECONDS,
      jti,
      tat: iat,
      htm,
      url,
      framing,
      ...(digest !== undefined && { digest }),
      pass,
      attempt,
      ...(idempotent !== undefined && { idempotent }),
      ...(receipt !== undefined && { receipt }),
      ...(tail !== undefined && { tail }),
      ...(resume !== undefined && { resume }),
      ...(park !== undefined && { park }),
      ...(tls !== undefined && { tls }),
      limits: shareOf(client, pool, edge),
    },
    await edge.grantKey(node),
  );
}

/**
 * What lets one node take a user of its proxy door to one target, as often as is asked until it expires, which is not after
 * the user's own token does.
 *
 * @throws RelayError `request_invalid` where the grant would be too long
 */
export async function proxyGrantFor(
  { client, claims, key, rule, cred, target, within, pool }: AuthorizedProxy,
  node: EdgeNode,
  edge: Edge,
): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const grant = await signProxyGrant(
    {
      iss: edge.config.origin,
      aud: node.id,
      sub: client.id,
      key,
      cred,
      ...(rule !== undefined && { rule }),
      act: "proxy",
      // A token is good for a clock's leeway after its end; the grant is, too, and no longer.
      iat: Math.min(now, claims.exp),
      exp: Math.min(now + PROXY_GRANT_SECONDS, claims.exp),
      jti: newRequestId(),
      target,
      ...(within !== undefined && { within }),
      limits: shareOf(client, pool, edge),
    },
    await edge.grantKey(node),
  );
  if (grant.length <= PROXY_GRANT_MAX_BYTES) return grant;
  throw new RelayError(
    "request_invalid",
    `what ${client.id} and the token allow at ${target} is more than a grant holds: name fewer paths and methods`,
  );
}

/** What the client asks of TLS to a URL; of streams and names it asks nothing, since their TLS is the application's own. */
function tlsOf({ tls }: Client, url: string): TlsRules | undefined {
  return tls.length > 0 && /^https:/i.test(url) ? tlsRulesFor(tls, parseTargetUrl(url)) : undefined;
}

/** Of the whole pool, whichever of its nodes a token names: else each node that is named had a whole share. */
function shareOf({ limits }: Client, pool: readonly EdgeNode[], edge: Edge): GrantLimits {
  const now = Date.now();
  return grantLimits(limits, pool.filter(({ id }) => edge.pool.isUp(id, now)).length);
}
