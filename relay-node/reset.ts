import { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { BareSocket } from "./tcp/bare-socket.ts";
import type { Connection } from "./tcp/connection.ts";

/** The connections under those that TLS made of them, where that was told. */
const carriers = new WeakMap<Connection, Socket>();

/** Tells which connection carries a TLS connection of a server's. */
export function carry(secured: TLSSocket, carrier: Socket): void {
  carriers.set(secured, carrier);
}

/** The connection under a TLS connection, or the connection itself. */
export function carrierOf(side: Connection): Connection {
  return carriers.get(side) ?? side;
}

/**
 * Ends a connection so that its peer can't take it for a proper end.
 *
 * Node's own `resetAndDestroy` fails while a FIN is on its way (libuv's uv_tcp_close_reset gives EINVAL), and the socket is
 * then never closed. All bytes have reached the kernel by then, so that a plain close cuts nothing. A TLS connection can't be
 * reset, but what carries it can; where nobody told what that is, the missing close_notify tells the peer.
 */
export function reset(side: Connection): void {
  if (side.destroyed) return;
  if (side instanceof BareSocket) {
    side.reset();
    return;
  }
  const isEnding = side.writableEnded && !side.writableFinished && side.writableLength === 0;
  const carrier = carrierOf(side);
  if (!isEnding && carrier instanceof Socket && !(carrier instanceof TLSSocket)) carrier.resetAndDestroy();
  side.destroy();
}
