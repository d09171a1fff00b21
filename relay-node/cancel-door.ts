import type { IncomingMessage, ServerResponse } from "node:http";
import { RelayError, withReached } from "../protocol/errors.ts";
import { verifyGrant } from "../protocol/grants.ts";
import { WIRE } from "../protocol/headers.ts";
import { writeFailure } from "./answer.ts";
import { consumedId } from "./begin.ts";
import type { NodeContext } from "./context.ts";
import { asRelayError } from "./failure.ts";
import type { Requests } from "./requests.ts";
import type { Streams } from "./streams.ts";

/**
 * Answers `POST /cancel`: gives up a request whose caller went away. One that has yet to come, to whichever node, is refused when it
 * does. Giving up is left to whoever was revoked, too.
 */
export async function serveCancel(
  node: NodeContext,
  request: IncomingMessage,
  response: ServerResponse,
  { requests, streams }: { readonly requests: Requests; readonly streams: Streams },
): Promise<void> {
  const { config, grantKeys } = node;
  try {
    const grant = request.headers[WIRE.authorization] as string | undefined;
    const context = { edge: config.edge, nodeId: config.id, keys: grantKeys, now: node.now() };
    const { sub, jti } = verifyGrant(grant, context, "cancel");
    const error = new RelayError("answer_cut", "the caller gave up");
    requests.find(sub, jti)?.abort(error);
    streams.cancel(sub, jti, withReached(error, "no"));
    node.consumed.forbid(consumedId({ sub, jti }), node.now());
    response.writeHead(204).end();
  } catch (error) {
    writeFailure(response, asRelayError(error), { node: config.id });
  }
}
