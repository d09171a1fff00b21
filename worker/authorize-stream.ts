import { RelayError } from "../protocol/errors.ts";
import { isTunnelAllowed, parseTunnelUrl } from "../protocol/targets.ts";
import { type Authorized, eligibleNodes, proveRequest } from "./authorize.ts";
import type { Edge, Env } from "./edge.ts";

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
  const target = parseTunnelUrl(url);
  if (!isTunnelAllowed(client.allow, target)) {
    throw new RelayError("target_not_allowed", `${client.id} may open no stream to ${target.authority}`);
  }
  if (resume !== undefined && (node === undefined || [node].flat().length !== 1)) {
    throw new RelayError(
      "request_invalid",
      "a stream is resumed at its own node: name that one in the token",
    );
  }
  return { client, claims, framing, ...eligibleNodes(edge.config.nodes, client, node) };
}
