import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import {
  checkHost,
  connectTarget,
  type ProxyRequest,
  readProxyRequest,
} from "../../protocol/proxy-requests.ts";
import type { TunnelTarget } from "../../protocol/targets.ts";
import { fieldLines, markFields } from "../answer.ts";
import { asRelayError } from "../failure.ts";
import type { BareSocket } from "../tcp/bare-socket.ts";
import type { Connection } from "../tcp/connection.ts";
import type { ProxyUser } from "./authorizer.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { writeRawProxyFailure } from "./proxy-failure.ts";
import { proxyUser } from "./proxy-user.ts";
import { type OpenedTunnel, TunnelOpening } from "./tunnel-opening.ts";
import { WaitingUser } from "./waiting-user.ts";

/** Who asks for a tunnel, and where to. */
export interface ConnectAsked {
  readonly user: ProxyUser;
  readonly target: TunnelTarget;
}

/**
 * What a CONNECT asks for.
 * @param from the address that its connection came from
 * @throws RelayError `request_invalid`, `url_invalid`, `proxy_credentials_missing`, `proxy_credentials_invalid`
 */
export function readConnect(request: ProxyRequest, from: string | undefined): ConnectAsked {
  const target = connectTarget(request);
  checkHost(request, target);
  return { user: proxyUser(request, from), target };
}

/**
 *   user ──CONNECT host:port──▶ strict? ▶ authorize ▶ limits ▶ dial ▶ 200 ▶ ProxyTunnel
 *
 * A tunnel by CONNECT (RFC 9110 section 9.3.6). Until the target is connected it can fail, and is answered as any request.
 *
 * @param request of HTTP's `connect` event, with what came with it
 * @param onKnown called once the user's credentials were found good
 */
export function serveConnect(
  context: ProxyContext,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  onKnown: () => void,
): Promise<void> {
  const { remoteAddress } = request.socket;
  return serve(context, () => readConnect(readProxyRequest(request), remoteAddress), socket, head, onKnown);
}

/** The same for a CONNECT that was read already, at a socket without streams. */
export function serveBareConnect(
  context: ProxyContext,
  asked: ConnectAsked,
  socket: BareSocket,
  head: Buffer,
  onKnown: () => void,
): Promise<void> {
  return serve(context, () => asked, socket, head, onKnown);
}

async function serve(
  context: ProxyContext,
  ask: () => ConnectAsked,
  socket: Connection,
  head: Buffer,
  onKnown: () => void,
): Promise<void> {
  const opening = new TunnelOpening(context, onKnown);
  const waiting = new WaitingUser(socket, head, opening.onGone);
  const { account } = opening;
  let opened: OpenedTunnel;
  try {
    const { user, target } = ask();
    opened = await opening.open(waiting, user, target);
  } catch (error) {
    waiting.release();
    const known = asRelayError(error);
    opening.refused(known);
    writeRawProxyFailure(socket, known, account.marks);
    return;
  }
  const { dialed, early } = opened;
  context.streams.openTunnel(account, "connect", dialed, socket, early, () => {
    socket.write(`HTTP/1.1 200 Connection established\r\n${fieldLines(markFields(account.marks))}\r\n`);
  });
}
