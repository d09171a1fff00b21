import { RelayError } from "../protocol/errors.ts";
import { REQUEST_TOKEN_MAX_SECONDS } from "../protocol/limits.ts";
import { isTunnelAllowed, parseAllowedTarget, parseTunnelUrl } from "../protocol/targets.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { type Authorized, checkTunnel, eligibleNodes, proveRequest } from "./authorize.ts";
import { holdToCeiling } from "./ceilings.ts";
import type { Edge, Env } from "./edge.ts";
import { checkScopeLifetime, proveScope } from "./scope.ts";
import { atSendersCost } from "./strangers.ts";

/**
 * Judges a stream by its request token: as `authorize` does a request, but its target is a host and port.
 *
 * @param authorization `Bearer <token>`
 * @param now seconds since 1970
 * @throws RelayError as `proveRequest` and `eligibleNodes`, and `token_method`, `token_framing`, `url_invalid`, `target_not_allowed`,
 *   `request_invalid` where a resume names no one node
 */
export async function authorizeStream(
  request: Request,
  authorization: string | null,
  edge: Edge,
  env: Env,
  now: number,
): Promise<Authorized> {
  const { claims, client } = await proveRequest(request, authorization, edge, env, now, "stream");
  const { htm, url, framing = "none", node, resume } = claims;
  if (htm !== "GET") throw new RelayError("token_method", `signed for ${htm}, a stream is asked for by GET`);
  if (framing !== "none") {
    throw new RelayError("token_framing", `signed for ${framing}, a stream has no body`);
  }
  checkTunnel(client, url);
  if (resume !== undefined && (node === undefined || [node].flat().length !== 1)) {
    throw new RelayError(
      "request_invalid",
      "a stream is resumed at its own node: name that one in the token",
    );
  }
  return { client, claims, framing, ...eligibleNodes(edge.config.nodes, client, node) };
}

/**
 * Judges a stream by a scope token or the handle that stands for one: to one of its targets, which has to be one of the
 * client's own as well. Each stream gets an id of the edge's.
 *
 * @param credential the token or handle
 * @param address `host:port`, an IPv6 address in brackets
 * @param now seconds since 1970
 * @throws RelayError as `proveScope` and `eligibleNodes`, and `token_lifetime`, `rate_limited`, `request_invalid`, `url_invalid`,
 *   `target_not_allowed`
 */
export async function authorizeScopedStream(
  request: Request,
  credential: string,
  address: string | undefined,
  edge: Edge,
  env: Env,
  now: number,
): Promise<Authorized> {
  const scope = await atSendersCost(request, edge, env, (admit) =>
    proveScope(credential, "stream", edge, env, now, admit),
  );
  const { client, claims } = scope;
  checkScopeLifetime(scope);
  await holdToCeiling(client, env);
  if (address === undefined) throw new RelayError("request_invalid", "say where to: ?address=host:port");
  const target = parseTunnelUrl(`tcp://${address}`);
  const allow = claims.allow.map((entry) => parseAllowedTarget(entry));
  if (!isTunnelAllowed(allow, target) || !isTunnelAllowed(client.allow, target)) {
    throw new RelayError(
      "target_not_allowed",
      `this token of ${client.id} opens no stream to ${target.authority}`,
    );
  }
  const { iss, aud, node } = claims;
  return {
    client,
    claims: {
      iss,
      aud,
      act: "stream",
      iat: now,
      exp: now + REQUEST_TOKEN_MAX_SECONDS,
      jti: newRequestId(),
      htm: "GET",
      url: `tcp://${target.authority}`,
    },
    framing: "none",
    ...eligibleNodes(edge.config.nodes, client, node),
  };
}
