import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { PROXY_PIPELINED_BYTES, PROXY_PIPELINED_MAX } from "./limits.ts";
import type { ProxyGrantClaims } from "../../protocol/proxy-grants.ts";
import { Outcome } from "../outcome.ts";
import { RelayedRequest } from "../relayed-request.ts";
import { ForwardForm, type ForwardRequest } from "./forward-form.ts";
import type { ProxyContext } from "./proxy-context.ts";

/** Requests that wait for their turn, and the bytes of their heads, by connection. */
const waiting = new WeakMap<Socket, { count: number; bytes: number }>();

/**
 *   user ──GET http://host/path──▶ authorize ▶ judge ▶ limits ▶ connection ──▶ target
 *   user ◀──────────────────────────────────────────────────── exchange ◀──────┘
 *
 * Serves a request in the absolute form. Each one of a kept-alive connection is authorised anew, and one after another: what came
 * before the last answer was whole waits.
 *
 * @param request of HTTP's `request` event, and of `checkContinue` and `checkExpectation`: its user is asked for the body here
 * @param asked what was read of it
 * @param onKnown called once the user's credentials were found good, with what they are good for
 */
export function serveForward(
  context: ProxyContext,
  request: IncomingMessage,
  response: ServerResponse,
  asked: ForwardRequest,
  onKnown: (grant: ProxyGrantClaims) => void,
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
  const queue = waiting.get(socket) ?? { count: 0, bytes: 0 };
  const bytes = headBytes(request);
  queue.count += 1;
  queue.bytes += bytes;
  waiting.set(socket, queue);
  if (queue.count > PROXY_PIPELINED_MAX || queue.bytes > PROXY_PIPELINED_BYTES) {
    socket.destroy();
    return;
  }
  response.once("socket", () => {
    queue.count -= 1;
    queue.bytes -= bytes;
    serve();
  });
}

function headBytes({ url = "", rawHeaders }: IncomingMessage): number {
  return rawHeaders.reduce((sum, text) => sum + text.length, url.length);
}
