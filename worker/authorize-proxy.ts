import type { Context } from "hono";
import type { ScopeClaims } from "../protocol/claims.ts";
import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import type { ProxyGrantClaims, ProxyQuestion } from "../protocol/proxy-grants.ts";
import { parseAllowedTarget } from "../protocol/targets.ts";
import { eligibleNodes } from "./authorize.ts";
import { holdToCeiling } from "./ceilings.ts";
import type { Client } from "./clients.ts";
import type { EdgeNode } from "./config.ts";
import { type Edge, edgeOf, type Env } from "./edge.ts";
import { proxyGrantFor } from "./grants.ts";
import { withHealth } from "./healthy.ts";
import type { Hosting } from "./hosting.ts";
import { readProxyQuestion } from "./proxy-question.ts";
import { readProxyTarget, withinOf } from "./proxy-targets.ts";
import { reachTarget } from "./reach-target.ts";
import { checkScopeLifetime, proveScope } from "./scope.ts";

/** A user of a node's proxy door who may go to one target. */
export interface AuthorizedProxy {
  readonly client: Client;
  /** As `Scope` has them. */
  readonly key: string;
  readonly rule: string | undefined;
  readonly cred: string;
  readonly claims: ScopeClaims;
  readonly target: string;
  readonly within: ProxyGrantClaims["within"];
  /** All nodes of the client's pool. */
  readonly pool: readonly EdgeNode[];
}

/**
 *   user ──credentials──▶ node ──question, signed──▶ edge
 *                         node ◀──grant for it──────
 *
 * Answers `{"grant": …}` to a node that asks whether a user of its proxy door may go to a target.
 *
 * @throws RelayError as `readProxyQuestion`, `authorizeProxy` and `proxyGrantFor`
 */
export async function answerProxyQuestion(c: Context<Hosting>): Promise<Response> {
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  const { node, question } = await readProxyQuestion(c.req.raw, edge, c.env, now);
  const authorized = await authorizeProxy(question, node, edge, c.env, now);
  const grant = await withHealth(c, edge, () => proxyGrantFor(authorized, node, edge));
  const fields = { [WIRE.timing]: c.get("clock").timing(), "Cache-Control": "no-store" };
  return c.json({ grant }, 200, fields);
}

/**
 * Judges a user of one node's proxy door.
 *
 * @param now seconds since 1970
 * @throws RelayError as `proveScope`, `eligibleNodes`, `readProxyTarget` and `reachTarget`, and `token_lifetime`, `rate_limited`,
 *   `proxy_credentials_invalid`, `request_invalid`
 */
async function authorizeProxy(
  { user, credential, target }: ProxyQuestion,
  node: EdgeNode,
  edge: Edge,
  env: Env,
  now: number,
): Promise<AuthorizedProxy> {
  // The address is the node's. It bounds its strangers by theirs itself, and must not be shut out for what they do.
  const scope = await proveScope(credential, "proxy", edge, env, now, () => {});
  const { client, claims, key, rule, cred } = scope;
  if (user !== undefined && user !== claims.iss) {
    throw new RelayError(
      "proxy_credentials_invalid",
      "the password is not of the client that the user names",
    );
  }
  checkScopeLifetime(scope);
  await holdToCeiling(client, env);
  const { nodes, pool } = eligibleNodes(edge.config.nodes, client, claims.node);
  if (!nodes.includes(node)) {
    const others = nodes.map(({ id }) => id).join(", ");
    throw new RelayError("node_unknown", `${node.id} serves no such user of ${client.id}: use ${others}`);
  }
  const wanted = readProxyTarget(target);
  const token = { whose: "this token", allow: claims.allow.map((entry) => parseAllowedTarget(entry)) };
  reachTarget(edge, env, "proxy", client, wanted, token);
  const within = withinOf(wanted, client, token);
  return { client, claims, key, rule, cred, target, within, pool };
}
