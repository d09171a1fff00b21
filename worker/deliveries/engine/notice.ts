import type { EventRow } from "../store/event-row.ts";
import type { Breaker } from "./breaker.ts";

/**
 * What an operator wants to be woken by: lines of the edge's log, each with its owner. No URL stands in them but the origin that a
 * call goes to.
 */
export type Notice =
  /** It was given up, and is kept until somebody asks for it again. */
  | {
      readonly decision: "delivery_dead";
      readonly delivery: string;
      readonly kind: string;
      readonly reason: string;
    }
  /** The target failed so often in a row that it is only probed; `target` is null of a route's own. */
  | { readonly decision: "target_failing"; readonly target: string | null; readonly failures: number }
  /** It takes deliveries again. */
  | { readonly decision: "target_back"; readonly target: string | null }
  /** The edge paused the owner itself. */
  | { readonly decision: "deliveries_paused"; readonly reason: string };

/** An event was given up. */
export function deadNotice({ id, kind }: EventRow, reason: string): Notice {
  return { decision: "delivery_dead", delivery: id, kind, reason };
}

/** What a breaker's change tells; undefined where it tells nothing new. */
export function breakerNotice(
  queue: string,
  before: Breaker | undefined,
  after: Breaker | undefined,
): Notice | undefined {
  const target = queue === "" ? null : queue;
  const wasOpen = typeof before?.probeAt === "number";
  const isOpen = typeof after?.probeAt === "number";
  if (isOpen && !wasOpen) return { decision: "target_failing", target, failures: after.failures };
  return wasOpen && !isOpen ? { decision: "target_back", target } : undefined;
}
