import type { Edge, Env } from "../edge.ts";
import type { Deliver, MakeCallback } from "./attempt-result.ts";

/** How a store makes its attempts. */
export function deliverBy(_edge: Edge, _env: Env): Deliver {
  return async () => ({
    kind: "relay",
    code: "edge_internal",
    detail: "not built yet",
    retryAfter: null,
    node: null,
    egress: null,
  });
}

/** How a store tells of what ended. */
export function callbackBy(_edge: Edge): MakeCallback {
  return async () => null;
}
