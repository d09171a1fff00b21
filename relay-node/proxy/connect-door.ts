import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { checkHost, connectTarget, readProxyRequest } from "../../protocol/proxy-requests.ts";
import { fieldLines, markFields } from "../answer.ts";
import { asRelayError } from "../failure.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { writeRawProxyFailure } from "./proxy-failure.ts";
import { proxyUser } from "./proxy-user.ts";
import { type OpenedTunnel, TunnelOpening } from "./tunnel-opening.ts";
import { WaitingUser } from "./waiting-user.ts";

/**
 *   user ──CONNECT host:port──▶ strict? ▶ authorize ▶ limits ▶ dial ▶ 200 ▶ ProxyTunnel
 *
 * A tunnel by CONNECT (RFC 9110 section 9.3.6). Until the target is connected it can fail, and is answered as any request.
 *
 * @param request of HTTP's `connect` event, with what came with it
 * @param onKnown called once the user's credentials were found good
 */
export async function serveConnect(
  context: ProxyContext,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  onKnown: () => void,
): Promise<void> {
  const opening = new TunnelOpening(context, onKnown);
  const waiting = new WaitingUser(socket, head, opening.onGone);
  const { account } = opening;
  let opened: OpenedTunnel;
  try {
    const asked = readProxyRequest(request);
    const target = connectTarget(asked);
    checkHost(asked, target);
    const user = proxyUser(asked, request.socket.remoteAddress);
    opened = await opening.open(waiting, user, `tcp://${target.authority}`);
  } catch (error) {
    waiting.release();
    const known = asRelayError(error);
    opening.refused(known);
    writeRawProxyFailure(socket, known, account.marks);
    return;
  }
  socket.write(`HTTP/1.1 200 Connection established\r\n${fieldLines(markFields(account.marks))}\r\n`);
  const { dialed, early } = opened;
  context.streams.openTunnel(account, "connect", dialed, socket, early);
}
