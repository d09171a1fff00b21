import { RelayError } from "../protocol/errors.ts";
import type { EdgeAct } from "../protocol/node-messages.ts";
import { digestOf } from "../protocol/tokens.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge, Env } from "./edge.ts";
import { jsonOf } from "./json.ts";
import { proveNode } from "./prove-node.ts";
import { readAtMost } from "./read-at-most.ts";

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
  { act, maxBytes, now }: { readonly act: EdgeAct; readonly maxBytes: number; readonly now: number },
): Promise<NodeMessage> {
  const { iss, digest } = await proveNode(request, edge, env, now, act);
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
