import type { ErrorCode, RelayError } from "../protocol/errors.ts";
import { STREAM_RETRY_FIRST_MS, STREAM_RETRY_MAX_MS } from "./limits.ts";

/** What may pass by itself while a stream waits at its node: the way there, or one use of a token. All else is the node's or the edge's last word. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  "edge_unreachable",
  "edge_failed",
  "edge_internal",
  "registry_unavailable",
  "node_unreachable",
  "node_failed",
  "node_internal",
  "node_draining",
  "node_out_of_service",
  "no_node",
  "rate_limited",
  "concurrency_limited",
  "token_replayed",
  "grant_expired",
  "request_predates_node",
  "platform_token_failed",
  "issuer_unavailable",
]);

/** Whether a stream that could not be taken up again may be a moment later. */
export function mayPass({ code }: RelayError): boolean {
  return PASSING.has(code);
}

/**
 * How long to wait before a connection is tried again, in milliseconds.
 *
 * @param failures how many have failed since the last one that held
 * @param random 0 to 1: many clients that lost one edge don't come back as one
 */
export function retryDelay(failures: number, random: number): number {
  if (failures === 0) return 0;
  const longest = Math.min(STREAM_RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 10), STREAM_RETRY_MAX_MS);
  return longest * (0.5 + random / 2);
}
