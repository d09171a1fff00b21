import type { Socket } from "node:net";

/** What a stream calls for more. */
const READ = "_read";

/**
 * Has a socket tell of a write that failed in place of being destroyed for it, with all that it has not read. One that is destroyed
 * for a read hands on before what its stream holds.
 */
export function outliveWrites(socket: Socket, onFailed: (error: NodeJS.ErrnoException) => void): void {
  const destroy = socket.destroy.bind(socket);
  const destroyLater = (error?: NodeJS.ErrnoException) => {
    if (error?.syscall === "write" && !socket.destroyed) {
      onFailed(error);
      return socket;
    }
    if (error?.syscall === "read") while (!socket.destroyed && socket.read() !== null);
    return destroy(error);
  };
  socket.destroy = destroyLater;
}

/**
 * Hands on what a socket reads from now on, and what it holds: its stream hands on nothing after an error.
 *
 * @param take all of it, whether or not it has use for it now: after a reset that is no more than the system holds
 */
export function readBesideStream(socket: Socket, take: (bytes: Buffer) => void): void {
  for (let held: Buffer | null; (held = socket.read() as Buffer | null) !== null;) take(held);
  const push = (bytes: Buffer | null) => {
    if (bytes !== null) take(bytes);
    return bytes !== null;
  };
  socket.push = push;
  socket[READ](0);
}
