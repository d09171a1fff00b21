import { REQUEST_TOKEN_MAX_SECONDS } from "../protocol/limits.ts";
import type { Framing, RequestClaims, ScopeAct } from "../protocol/claims.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { type Authorized, eligibleNodes } from "./authorize.ts";
import { holdToCeiling } from "./ceilings.ts";
import type { Edge, Env } from "./edge.ts";
import { checkScopeLifetime, proveScope, type Scope } from "./scope.ts";
import { atSendersCost } from "./strangers.ts";

/**
 * Lets a scope token, or the handle that stands for one, into a door: proven at its sender's cost, no older than its client's
 * record admits, and under the platform's ceiling. What it opens is for the door to judge.
 *
 * @param credential the token or handle
 * @param act the door's own
 * @param now seconds since 1970
 * @throws RelayError as `proveScope`, and `token_lifetime`, `rate_limited`
 */
export async function admitScope(
  request: Request,
  credential: string,
  act: ScopeAct,
  edge: Edge,
  env: Env,
  now: number,
): Promise<Scope> {
  const scope = await atSendersCost(request, edge, env, (admit) =>
    proveScope(credential, act, edge, env, now, admit),
  );
  checkScopeLifetime(scope);
  await holdToCeiling(scope.client, env);
  return scope;
}

/** In whose name the edge asks for something: what is good for many requests, or a client as such. */
type Under = Pick<Authorized, "client" | "key" | "rule" | "cred"> & {
  readonly claims: Pick<RequestClaims, "iss" | "aud" | "node">;
};

/**
 * One request under a scope, with an id of the edge's own.
 *
 * @param call what was judged to lie inside what the scope and its client may reach
 * @param now seconds since 1970
 * @throws RelayError as `eligibleNodes`
 */
export function requestUnder(
  { client, key, rule, cred, claims: { iss, aud, node } }: Under,
  call: Pick<RequestClaims, "act" | "htm" | "url" | "digest" | "receipt">,
  framing: Framing,
  edge: Edge,
  now: number,
): Authorized {
  const times = { iat: now, exp: now + REQUEST_TOKEN_MAX_SECONDS };
  return {
    client,
    claims: { iss, aud, ...times, jti: newRequestId(), ...call },
    key,
    rule,
    ...(cred !== undefined && { cred }),
    framing,
    ...eligibleNodes(edge.config.nodes, client, node),
  };
}
