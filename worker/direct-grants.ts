import type { Context } from "hono";
import { newPass } from "../protocol/grants.ts";
import { WIRE } from "../protocol/headers.ts";
import { inOrder } from "./ask-nodes.ts";
import { authorizeStream } from "./authorize-stream.ts";
import { edgeOf } from "./edge.ts";
import { grantFor } from "./grants.ts";
import { withHealth } from "./healthy.ts";
import type { Hosting } from "./hosting.ts";
import { DIRECT_NODES_MAX } from "./limits.ts";

/**
 *   caller ──request token──▶ edge
 *   caller ──grant──▶ node ──TCP──▶ target
 *
 * Gives a caller that goes to a node itself what the edge would have sent with its stream: the nodes in the order in which
 * they are to be tried, each with a grant of its own. No node is asked here.
 *
 * @throws RelayError as `authorizeStream`, so any of the token codes, `client_unknown`, `rate_limited`, `registry_unavailable`,
 *   `request_invalid`, `url_invalid`, `target_not_allowed`, `node_unknown`, `no_node`
 */
export async function directGrants(c: Context<Hosting>): Promise<Response> {
  const request = c.req.raw;
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  const token = request.headers.get(WIRE.authorization);
  const authorized = await authorizeStream(request, token, edge, c.env, now);
  c.set("client", authorized.client);
  const pass = newPass();
  const grants = await withHealth(c, edge, () =>
    Promise.all(
      inOrder(authorized, request, edge)
        .slice(0, DIRECT_NODES_MAX)
        .map(async (node, attempt) => ({
          node: node.id,
          url: node.url,
          grant: await grantFor(authorized, node, edge, { pass, attempt }),
        })),
    ),
  );
  const fields = { [WIRE.timing]: c.get("clock").timing(), "Cache-Control": "no-store" };
  return c.json({ grants }, 200, fields);
}
