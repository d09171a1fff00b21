import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

/** The connections under those that TLS made of them, where that was told. */
const carriers = new WeakMap<Duplex, Socket>();

/** Tells which connection carries a TLS connection of a server's. */
export function carry(secured: TLSSocket, carrier: Socket): void {
  carriers.set(secured, carrier);
}

/** The connection under a TLS connection, or the connection itself. */
export function carrierOf(side: Duplex): Duplex {
  return carriers.get(side) ?? side;
}

/**
 * Ends a connection so that its peer can't take it for a proper end.
 *
 * Node's own `resetAndDestroy` fails while a FIN is on its way (libuv's uv_tcp_close_reset gives EINVAL), and the socket is
 * then never closed. All bytes have reached the kernel by then, so that a plain close cuts nothing. A TLS connection can't be
 * reset, but what carries it can; where nobody told what that is, the missing close_notify tells the peer.
 */
export function reset(side: Duplex): void {
  if (side.destroyed) return;
  const isEnding = side.writableEnded && !side.writableFinished && side.writableLength === 0;
  const carrier = carrierOf(side);
  if (!isEnding && carrier instanceof Socket && !(carrier instanceof TLSSocket)) carrier.resetAndDestroy();
  side.destroy();
}
