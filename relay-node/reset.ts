import type { Socket } from "node:net";

/**
 * Ends a connection so that its peer can't take it for a proper end.
 *
 * Node's own `resetAndDestroy` fails while a FIN is on its way (libuv's uv_tcp_close_reset gives EINVAL), and the socket is
 * then never closed. All bytes have reached the kernel by then, so that a plain close cuts nothing.
 */
export function reset(socket: Socket): void {
  if (socket.destroyed) return;
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (isEnding) socket.destroy();
  else socket.resetAndDestroy();
}
