import type { Context } from "hono";
import { RelayError } from "../protocol/errors.ts";
import { digestOf } from "../protocol/tokens.ts";
import { rearmNowAndThen } from "./deliveries/rearm.ts";
import { edgeOf, registryCall, registryOf } from "./edge.ts";
import type { Hosting } from "./hosting.ts";
import { proveNode } from "./prove-node.ts";

/**
 * Tells a node what was revoked, so that it ends what was begun before.
 *
 * @throws RelayError as `proveNode`, and `body_digest`, `request_invalid`, `registry_unavailable`
 */
export async function tellRevocations(c: Context<Hosting>): Promise<Response> {
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  const { digest } = await proveNode(c.req.raw, edge, c.env, now, "revocations");
  if (digest !== (await digestOf(new Uint8Array()))) {
    throw new RelayError("body_digest", "a body was signed, and none is asked for");
  }
  const after = c.req.query("after");
  if (after !== undefined && !/^\d{1,15}$/.test(after)) {
    throw new RelayError("request_invalid", "after is not the number of a revocation");
  }
  const feed = await registryCall(() =>
    registryOf(c.env).revocations(after === undefined ? undefined : Number(after), now),
  );
  rearmNowAndThen(edge, c.env, (work) => c.executionCtx.waitUntil(work), Date.now());
  return c.json(feed, 200, { "Cache-Control": "no-store" });
}
