import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

/**
 * Ends a connection so that its peer can't take it for a proper end, whatever state it is in.
 *
 * Node's own `resetAndDestroy` fails while a FIN is on its way (libuv's uv_tcp_close_reset gives EINVAL): the socket then never
 * closes, and neither does the process that holds it. All bytes have reached the kernel by then, so that a plain close cuts nothing.
 */
export function reset(side: Duplex): void {
  if (side.destroyed) return;
  const isEnding = side.writableEnded && !side.writableFinished && side.writableLength === 0;
  // A TLS connection can't be reset, and says so by throwing: its missing close_notify tells the peer.
  const canReset = side instanceof Socket && !(side instanceof TLSSocket) && !side.connecting && !isEnding;
  if (canReset) side.resetAndDestroy();
  else side.destroy(new Error("the connection that this one was joined to broke off"));
}
