import { createServer, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { PROXY_CONNECTIONS_MAX, PROXY_HEAD_MS } from "../../../client/node/limits.ts";
import { PROXY_HEAD_MAX_BYTES, PROXY_IDLE_MS } from "../limits.ts";
import type { Opener } from "../../../client/node/opener.ts";
import { splice } from "../../../client/node/splice.ts";
import { basicCredentials } from "../../../protocol/proxy-credentials.ts";
import type { Credentials } from "../../../client/node/proxy/credentials.ts";
import { answer, answerBytes, failureAnswer, type ProxyAnswer } from "./failure.ts";
import { asRelayError } from "../relay-errors.ts";
import { answerWith, forward } from "./http-forward.ts";
import { connectTarget, forwardTarget, readProxyRequest } from "../../../protocol/proxy-requests.ts";
import { listen, type LocalProxy, type LocalProxyOptions } from "../../../client/node/proxy/local-proxy.ts";

const UNAUTHORIZED = answer(407, "this proxy wants the password that was made for this run", [
  ["Proxy-Authenticate", 'Basic realm="holdfast"'],
]);

/** An HTTP proxy on 127.0.0.1: CONNECT, and absolute http:// URLs. Each request is judged anew. */
export async function startHttpProxy({ open, credentials, port }: LocalProxyOptions): Promise<LocalProxy> {
  const server = createServer({
    maxHeaderSize: PROXY_HEAD_MAX_BYTES,
    headersTimeout: PROXY_HEAD_MS,
    // An upload takes as long as it takes.
    requestTimeout: 0,
    keepAliveTimeout: PROXY_IDLE_MS,
    connectionsCheckingInterval: PROXY_HEAD_MS / 3,
    noDelay: true,
  });
  server.maxConnections = PROXY_CONNECTIONS_MAX;
  const onRequest = (request: IncomingMessage, response: Parameters<typeof answerWith>[0]) => {
    const asked = readProxyRequest(request);
    if (!isAdmitted(request, credentials)) return answerWith(response, UNAUTHORIZED);
    const fail = (error: unknown) => answerWith(response, failureAnswer(asRelayError(error)));
    try {
      forward({ request, response, open, ...forwardTarget(asked) }).catch(fail);
    } catch (error) {
      fail(error);
    }
  };
  server.on("request", onRequest);
  // Judged before the program is asked for its body.
  server.on("checkContinue", onRequest);
  server.on("connect", (request, socket, head) => void tunnel(request, socket, head, { open, credentials }));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
    refuse(socket, CLIENT_ERRORS[error.code ?? ""] ?? answer(400, "the request is no valid HTTP"));
  });
  return listen(server, { port });
}

const CLIENT_ERRORS: Readonly<Record<string, ProxyAnswer>> = {
  HPE_HEADER_OVERFLOW: answer(431, `the head is longer than ${PROXY_HEAD_MAX_BYTES} bytes`),
  ERR_HTTP_REQUEST_TIMEOUT: answer(408, `the head took longer than ${PROXY_HEAD_MS / 1_000} s`),
};

async function tunnel(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { open, credentials }: { open: Opener; credentials: Credentials },
): Promise<void> {
  const gone = new AbortController();
  const onClose = () => gone.abort();
  socket.on("error", () => {});
  socket.once("close", onClose);
  if (!isAdmitted(request, credentials)) return refuse(socket, UNAUTHORIZED);
  try {
    const { host, port } = connectTarget(readProxyRequest(request));
    const connection = await open({ host, port, signal: gone.signal });
    socket.off("close", onClose);
    if (head.length > 0) connection.write(head);
    if (!socket.destroyed) socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    await splice(socket, connection);
  } catch (error) {
    refuse(socket, failureAnswer(asRelayError(error)));
  }
}

/** Says why and closes; what the program still sends is not waited for. */
function refuse(socket: Duplex, told: ProxyAnswer): void {
  if (socket.destroyed) return;
  socket.resume();
  socket.end(answerBytes(told));
  (socket as Socket).setTimeout(PROXY_HEAD_MS, () => socket.destroy());
}

function isAdmitted({ headers }: IncomingMessage, { admits }: Credentials): boolean {
  const given = basicCredentials(headers["proxy-authorization"]);
  return given !== undefined && admits(given.user, given.password);
}
