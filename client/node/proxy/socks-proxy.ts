import { createServer, type Socket } from "node:net";
import { MessageReader } from "../../../protocol/message-reader.ts";
import { parseTunnelUrl, tunnelUrl } from "../../../protocol/targets.ts";
import { PROXY_CONNECTIONS_MAX, PROXY_HEAD_MS } from "../limits.ts";
import { splice } from "../splice.ts";
import { SOCKS_REPLY, socksReply } from "../../../protocol/socks-replies.ts";
import { listen, type LocalProxy, type LocalProxyOptions } from "./local-proxy.ts";
import {
  ADMITTED,
  NO_METHOD,
  NOT_ADMITTED,
  PASSWORD_METHOD,
  readGreeting,
  readPassword,
  readRequest,
  replyBytes,
  SocksRefusal,
} from "../../../protocol/socks5.ts";

/** A SOCKS 5 proxy on 127.0.0.1: CONNECT alone, with user and password. Names are resolved where the connection is made. */
export async function startSocksProxy(options: LocalProxyOptions): Promise<LocalProxy> {
  const server = createServer(
    { allowHalfOpen: true, noDelay: true },
    (socket) => void serve(socket, options),
  );
  server.maxConnections = PROXY_CONNECTIONS_MAX;
  return listen(server, options);
}

async function serve(socket: Socket, { open, credentials }: LocalProxyOptions): Promise<void> {
  const gone = new AbortController();
  socket.on("error", () => {});
  const onClose = () => gone.abort();
  socket.once("close", onClose);
  const deadline = setTimeout(() => socket.destroy(), PROXY_HEAD_MS);
  const reader = new MessageReader(socket, () => new SocksRefusal("the program went away"));
  try {
    if (!(await reader.read(readGreeting))) return void socket.end(NO_METHOD);
    socket.write(PASSWORD_METHOD);
    const { user, password } = await reader.read(readPassword);
    if (!credentials.admits(user, password)) return void socket.end(NOT_ADMITTED);
    socket.write(ADMITTED);
    const asked = await reader.read(readRequest);
    clearTimeout(deadline);
    const target = targetOf(asked);
    const connection = await open({ ...target, signal: gone.signal });
    socket.off("close", onClose);
    if (reader.rest.length > 0) connection.write(reader.rest);
    if (!socket.destroyed) socket.write(replyBytes(SOCKS_REPLY.succeeded));
    await splice(socket, connection);
  } catch (error) {
    if (socket.destroyed) return;
    const reply = error instanceof SocksRefusal ? error.reply : socksReply(error);
    if (reply === undefined) socket.destroy();
    else socket.end(replyBytes(reply));
  } finally {
    clearTimeout(deadline);
    // What is refused has as long to go as it had to come.
    if (!socket.destroyed) socket.resume().setTimeout(PROXY_HEAD_MS, () => socket.destroy());
  }
}

/** The same canonical form that everything else is judged in. */
function targetOf({ host, port }: { readonly host: string; readonly port: number }): {
  readonly host: string;
  readonly port: number;
} {
  const { host: name, port: number } = parseTunnelUrl(tunnelUrl(host, port));
  return { host: name, port: number };
}
