import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

/**
 * Ends a connection so that its peer can't take it for a proper end.
 *
 * Node's own `resetAndDestroy` fails while a FIN is on its way (libuv's uv_tcp_close_reset gives EINVAL), and the socket is
 * then never closed. All bytes have reached the kernel by then, so that a plain close cuts nothing. A TLS connection can't be
 * reset: its missing close_notify tells the peer.
 */
export function reset(side: Duplex): void {
  if (side.destroyed) return;
  const isEnding = side.writableEnded && !side.writableFinished && side.writableLength === 0;
  if (side instanceof Socket && !(side instanceof TLSSocket) && !isEnding) side.resetAndDestroy();
  else side.destroy();
}
