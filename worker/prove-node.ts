import { isRelayError, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { type EdgeAct, type NodeMessageClaims, verifyNodeMessage } from "../protocol/node-messages.ts";
import type { Edge, Env } from "./edge.ts";
import { atSendersCost } from "./strangers.ts";

/**
 * Proves which node asks, before a byte of its body is read; the body has to be compared with `digest` then. What is wrong with a
 * node's own word has a code of its own: whoever it asks for is not to blame for it, and would be by any other.
 *
 * @param now seconds since 1970
 * @throws RelayError `node_unproven`, `rate_limited`, `edge_misconfigured`
 */
export async function proveNode(
  request: Request,
  edge: Edge,
  env: Env,
  now: number,
  act: EdgeAct,
): Promise<NodeMessageClaims> {
  const nodes = await edge.nodeKeys();
  try {
    // Whoever is no known node is refused before a signature is verified, so there is nothing to admit.
    return await atSendersCost(request, edge, env, () =>
      verifyNodeMessage(request.headers.get(WIRE.authorization) ?? undefined, {
        audience: edge.config.origin,
        nodes,
        act,
        now,
      }),
    );
  } catch (cause) {
    if (!isRelayError(cause) || cause.code === "rate_limited") throw cause;
    throw new RelayError("node_unproven", `the node's message is refused: ${cause.message}`, { cause });
  }
}
