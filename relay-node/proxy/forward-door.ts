import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { PROXY_PIPELINED_MAX } from "../limits.ts";
import { Outcome } from "../outcome.ts";
import { RelayedRequest } from "../relayed-request.ts";
import { ForwardForm, type ForwardRequest } from "./forward-form.ts";
import type { ProxyContext } from "./proxy-context.ts";

/** Requests that wait for their turn, by connection. */
const waiting = new WeakMap<Socket, number>();

/**
 *   user ──GET http://host/path──▶ authorize ▶ judge ▶ limits ▶ connection ──▶ target
 *   user ◀──────────────────────────────────────────────────── exchange ◀──────┘
 *
 * Serves a request in the absolute form. Each one of a kept-alive connection is authorised anew, and one after another: what came
 * before the last answer was whole waits.
 *
 * @param request of HTTP's `request` event, and of `checkContinue` and `checkExpectation`: its user is asked for the body here
 * @param asked what was read of it
 * @param onKnown called once the user's credentials were found good
 */
export function serveForward(
  context: ProxyContext,
  request: IncomingMessage,
  response: ServerResponse,
  asked: ForwardRequest,
  onKnown: () => void,
): void {
  const { socket } = request;
  const serve = () => {
    const { node, requests } = context;
    const parts = { node, request, response, outcome: new Outcome(node.config, "proxy") };
    requests.serve(new RelayedRequest(parts, new ForwardForm(context, parts, asked, onKnown)), parts);
  };
  // Node gives a response its socket when the one before has ended.
  if (response.socket !== null) {
    serve();
    return;
  }
  const count = (waiting.get(socket) ?? 0) + 1;
  if (count > PROXY_PIPELINED_MAX) {
    socket.destroy();
    return;
  }
  waiting.set(socket, count);
  response.once("socket", () => {
    waiting.set(socket, waiting.get(socket)! - 1);
    serve();
  });
}
