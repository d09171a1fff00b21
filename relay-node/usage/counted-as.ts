import type { ErrorRow } from "../../protocol/error-table.ts";
import { ERRORS, type RelayError } from "../../protocol/errors.ts";
import { isNodesOwnFault } from "../../protocol/node-faults.ts";

/** Verdicts of the relay's own, by the types that `Proxy-Status` has for them: on what was asked for, and on how much of it. */
const REFUSALS: ReadonlySet<string> = new Set([
  "http_request_denied",
  "connection_limit_reached",
  "destination_ip_prohibited",
]);

/**
 * What a call under a proven grant counts as, once it is known how it ends: a request, whatever became of it at its target, or a
 * refusal. What a node can't take for its own sake is neither, as another node is asked.
 *
 * @param error undefined where its target answered, or was connected
 */
export function countedAs(error: RelayError | undefined): "request" | "refusal" | undefined {
  if (error === undefined) return "request";
  const { proxy, reached }: ErrorRow = ERRORS[error.code];
  if (isNodesOwnFault(error.code)) return error.reached === "no" ? undefined : "request";
  // What would have refused it may end it later, when its target has seen it: it was let in then. A replay's target saw another one.
  const wasLetIn = error.reached !== "no" && error.reached !== reached;
  return REFUSALS.has(proxy) && !wasLetIn ? "refusal" : "request";
}
