import { isRelayError, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { type NodeMessageAct, type NodeMessageClaims, verifyNodeMessage } from "../protocol/node-messages.ts";
import { digestOf } from "../protocol/tokens.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge, Env } from "./edge.ts";
import { jsonOf } from "./json.ts";
import { readAtMost } from "./read-at-most.ts";
import { atSendersCost } from "./strangers.ts";

/** A node's message: who speaks, and what its body holds. */
export interface NodeMessage {
  readonly node: EdgeNode;
  readonly value: unknown;
}

/**
 * Reads what a node says: who speaks is proven before a byte of the body is read.
 *
 * @param act the route's own
 * @param maxBytes the longest body
 * @param now seconds since 1970
 * @throws RelayError `node_unproven`, `rate_limited`, `edge_misconfigured`, `too_large`, `body_digest`, `request_invalid`
 */
export async function readNodeMessage(
  request: Request,
  edge: Edge,
  env: Env,
  { act, maxBytes, now }: { readonly act: NodeMessageAct; readonly maxBytes: number; readonly now: number },
): Promise<NodeMessage> {
  const { iss, digest } = await proveNode(request, edge, env, act, now);
  const tooLarge = () => new RelayError("too_large", `such a message has at most ${maxBytes} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  const body = await readAtMost(request.body, maxBytes);
  if (body === undefined) throw tooLarge();
  if (digest !== (await digestOf(body))) {
    throw new RelayError("body_digest", "the body is not the one that was signed");
  }
  return {
    node: edge.config.nodes.find(({ id }) => id === iss)!,
    value: jsonOf(new TextDecoder().decode(body)),
  };
}

/** What is wrong with a node's own word has a code of its own: its user is not to blame for it, and would be by any other. */
async function proveNode(
  request: Request,
  edge: Edge,
  env: Env,
  act: NodeMessageAct,
  now: number,
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
