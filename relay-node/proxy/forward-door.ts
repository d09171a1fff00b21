import type { IncomingMessage, ServerResponse } from "node:http";
import { RelayError } from "../../protocol/errors.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { refuseRequest } from "./proxy-failure.ts";

/** Serves a request in the absolute form. */
export function serveForward(
  context: ProxyContext,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const error = new RelayError("node_internal", "requests are not forwarded yet", { reached: "no" });
  refuseRequest(request, response, error, { node: context.node.config.id });
}
