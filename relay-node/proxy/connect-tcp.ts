import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { CONNECT_TCP_TOKENS, connectTcpTarget } from "../../protocol/connect-tcp.ts";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { basicCredentials, bearerCredentials, haveCredentialForm } from "../../protocol/proxy-credentials.ts";
import { fieldLines, markFields, writeRawFailure } from "../answer.ts";
import { asRelayError } from "../failure.ts";
import type { ProxyUser } from "./authorizer.ts";
import { CapsuleStream } from "./capsule-stream.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { TunnelOpening } from "./tunnel-opening.ts";

/** What an answer without credentials asks for. A proxy of this kind is an origin: it answers 401, never 407. */
const CHALLENGES = [
  "WWW-Authenticate",
  'Basic realm="holdfast", charset="UTF-8"',
  "WWW-Authenticate",
  'Bearer realm="holdfast"',
];

/** A request to upgrade, as it was read. */
interface Asked {
  readonly token: string;
  readonly user: ProxyUser;
  /** `tcp://host:port` */
  readonly target: string;
}

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
  const { onGone, account } = opening;
  // Nothing may be read yet, but whoever goes is to be heard.
  const onReadable = () => {};
  socket.on("error", onGone).on("end", onGone).on("close", onGone).on("readable", onReadable);
  const letGo = () =>
    socket.off("error", onGone).off("end", onGone).off("close", onGone).off("readable", onReadable);
  try {
    const { token, user, target } = read(request);
    if (request.headers.expect?.toLowerCase() === "100-continue") {
      socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    const dialed = await opening.open(user, target);
    letGo();
    if (socket.destroyed || socket.readableEnded) {
      dialed.socket.destroy();
      throw new RelayError("stream_cancelled", "the user went away", { reached: "no" });
    }
    if (head.length > 0) socket.unshift(head);
    const fields = ["Upgrade", token, "Capsule-Protocol", "?1", "Proxy-Status", "holdfast"];
    fields.push(WIRE.status, "target", ...markFields(account.marks));
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${fieldLines(fields)}\r\n`);
    context.streams.openTunnel(account, "connect-tcp", dialed, new CapsuleStream(socket), Buffer.alloc(0));
  } catch (error) {
    letGo();
    refuse(opening, socket, asRelayError(error));
  }
}

/** @throws RelayError */
function read(request: IncomingMessage): Asked {
  const { method, headers, url = "" } = request;
  if (method !== "GET") throw new RelayError("method_not_allowed", "connect-tcp is asked for by GET");
  for (const name of ["host", "authorization", "proxy-authorization", "upgrade"]) {
    if (valuesOf(request, name).length > 1) throw invalid(`there is more than one ${name} field`);
  }
  if (headers.host === undefined) throw invalid("there is no Host field");
  if (headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined) {
    throw invalid("a request for connect-tcp has no body");
  }
  const token = headers.upgrade?.toLowerCase() ?? "";
  if (!CONNECT_TCP_TOKENS.includes(token)) {
    throw new RelayError("upgrade_required", "this path speaks connect-tcp alone");
  }
  const target = `tcp://${connectTcpTarget(url).authority}`;
  return { token, target, user: userOf(request) };
}

/**
 * The draft's proxy is an origin, so that `Authorization` is what it names; who speaks to proxies alone sends
 * `Proxy-Authorization`.
 *
 * @throws RelayError `proxy_credentials_missing`, `proxy_credentials_invalid`, `request_invalid`
 */
function userOf({ headers, socket }: IncomingMessage): ProxyUser {
  const { authorization, "proxy-authorization": proxyAuthorization } = headers;
  if (authorization !== undefined && proxyAuthorization !== undefined) {
    throw invalid("there are both Authorization and Proxy-Authorization");
  }
  const value = authorization ?? proxyAuthorization;
  if (value === undefined) {
    throw new RelayError("proxy_credentials_missing", "the request carries no credentials");
  }
  const basic = basicCredentials(value);
  const credential = basic?.password ?? bearerCredentials(value);
  if (credential === undefined || !haveCredentialForm(basic?.user, credential)) {
    throw new RelayError(
      "proxy_credentials_invalid",
      "it is neither Basic with a client's id and its token or handle, nor Bearer with a token",
    );
  }
  return { user: basic?.user, credential, from: socket.remoteAddress ?? "" };
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

function valuesOf({ rawHeaders }: IncomingMessage, lowerName: string): string[] {
  return rawHeaders.filter(
    (_, index) => rawHeaders[index - (index % 2)]!.toLowerCase() === lowerName && index % 2 === 1,
  );
}

function invalid(why: string): RelayError {
  return new RelayError("request_invalid", why);
}
