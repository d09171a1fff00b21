import { RelayError } from "../protocol/errors.ts";
import { parseAllowedTarget } from "../protocol/targets.ts";
import { type Authorized, eligibleNodes, proveRequest, streamTo } from "./authorize.ts";
import type { Edge, Env } from "./edge.ts";
import { reachTarget } from "./reach-target.ts";
import { admitScope, requestUnder } from "./scoped.ts";

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
  const { claims, client, key, rule } = await proveRequest(request, authorization, edge, env, now, "stream");
  const { htm, url, framing = "none", node, resume } = claims;
  if (htm !== "GET") throw new RelayError("token_method", `signed for ${htm}, a stream is asked for by GET`);
  if (framing !== "none") {
    throw new RelayError("token_framing", `signed for ${framing}, a stream has no body`);
  }
  reachTarget(edge, env, "stream", client, streamTo(url));
  if (resume !== undefined && (node === undefined || [node].flat().length !== 1)) {
    throw new RelayError(
      "request_invalid",
      "a stream is resumed at its own node: name that one in the token",
    );
  }
  return { client, claims, key, rule, framing, ...eligibleNodes(edge.config.nodes, client, node) };
}

/**
 * Judges a stream by a scope token or the handle that stands for one: to one of its targets, which has to be one of the
 * client's own as well. Each stream gets an id of the edge's.
 *
 * @param credential the token or handle
 * @param address `host:port`, an IPv6 address in brackets
 * @param now seconds since 1970
 * @throws RelayError as `admitScope` and `requestUnder`, and `request_invalid`, `url_invalid`, `target_not_allowed`
 */
export async function authorizeScopedStream(
  request: Request,
  credential: string,
  address: string | undefined,
  edge: Edge,
  env: Env,
  now: number,
): Promise<Authorized> {
  const scope = await admitScope(request, credential, "stream", edge, env, now);
  const { client, claims } = scope;
  if (address === undefined) throw new RelayError("request_invalid", "say where to: ?address=host:port");
  const wanted = streamTo(`tcp://${address}`);
  const allow = claims.allow.map((entry) => parseAllowedTarget(entry));
  reachTarget(edge, env, "stream", client, wanted, { whose: `this token of ${client.id}`, allow });
  const call = { act: "stream", htm: "GET", url: `tcp://${wanted.target.authority}` } as const;
  return requestUnder(scope, call, "none", edge, now);
}
