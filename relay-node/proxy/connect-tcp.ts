import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { CONNECT_TCP_TOKENS, connectTcpRequest } from "../../protocol/connect-tcp.ts";
import type { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { readProxyRequest } from "../../protocol/proxy-requests.ts";
import { fieldLines, markFields, writeRawFailure } from "../answer.ts";
import { asRelayError } from "../failure.ts";
import { CapsuleStream } from "./capsule-stream.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { proxyUser } from "./proxy-user.ts";
import { type OpenedTunnel, TunnelOpening } from "./tunnel-opening.ts";
import { WaitingUser } from "./waiting-user.ts";

/** What an answer without credentials asks for. A proxy of this kind is an origin: it answers 401, never 407. */
const CHALLENGES = [
  "WWW-Authenticate",
  'Basic realm="holdfast", charset="UTF-8"',
  "WWW-Authenticate",
  'Bearer realm="holdfast"',
];

/**
 *   user ──GET /.well-known/masque/tcp/{host}/{port}/, Upgrade: connect-tcp──▶ judge ▶ dial ▶ 101 ▶ capsules
 *
 * A tunnel by draft-ietf-httpbis-connect-tcp over HTTP/1.1. Until the target is connected, a failure is an ordinary answer,
 * after which the connection is closed.
 *
 * @param request of HTTP's `upgrade` event, with what came with it
 * @param onKnown called once the user's credentials were found good
 */
export async function serveConnectTcp(
  context: ProxyContext,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  onKnown?: () => void,
): Promise<void> {
  const opening = new TunnelOpening(context, onKnown);
  const waiting = new WaitingUser(socket, head, opening.onGone);
  const { account } = opening;
  let opened: OpenedTunnel;
  let token: string;
  try {
    const asked = readProxyRequest(request);
    const { target, upgrade } = connectTcpRequest(asked);
    token = upgrade;
    const user = proxyUser(asked, request.socket.remoteAddress, ["authorization", "proxy-authorization"]);
    if (request.headers.expect?.toLowerCase() === "100-continue") {
      socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    opened = await opening.open(waiting, user, target);
  } catch (error) {
    waiting.release();
    refuse(opening, socket, asRelayError(error));
    return;
  }
  const fields = ["Upgrade", token, "Capsule-Protocol", "?1", "Proxy-Status", "holdfast"];
  fields.push(WIRE.status, "target", ...markFields(account.marks));
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${fieldLines(fields)}\r\n`);
  const { dialed, early } = opened;
  const user = new CapsuleStream(socket, early);
  context.streams.openTunnel(account, "connect-tcp", dialed, user, Buffer.alloc(0));
}

function refuse(opening: TunnelOpening, socket: Duplex, error: RelayError): void {
  opening.refused(error);
  if (!socket.writable) {
    socket.on("error", () => {}).destroy();
    return;
  }
  // Whether the node or its edge refused them.
  const isUnknown = error.status === 401 || error.status === 407;
  const more = isUnknown
    ? CHALLENGES
    : error.code === "upgrade_required"
      ? ["Upgrade", CONNECT_TCP_TOKENS[0]!]
      : [];
  writeRawFailure(socket, error, opening.account.marks, more, {
    status: isUnknown ? 401 : error.status,
    namesCode: true,
  });
}
