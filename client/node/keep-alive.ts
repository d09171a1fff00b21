import type { Socket } from "node:net";
import type { RelaySocket } from "./relay-socket.ts";

/**
 * A TLS socket over another stream does not tell it whether it keeps the process alive, and pools say so of idle connections.
 *
 * @param secure the TLS socket, changed in place, where there is one
 * @param socket what it runs over
 */
export function passOnRef(secure: object | null | undefined, socket: RelaySocket): void {
  if (secure === null || secure === undefined) return;
  const wrapper = secure as Pick<Socket, "ref" | "unref">;
  const { ref, unref } = wrapper;
  wrapper.ref = function (this: Socket) {
    socket.ref();
    return ref.call<Socket, [], Socket>(this);
  };
  wrapper.unref = function (this: Socket) {
    socket.unref();
    return unref.call<Socket, [], Socket>(this);
  };
}

/**
 * Lets a socket that connects not keep the process alive where that is not wanted by then. Each address that it tries has a handle of its
 * own, which has heard nothing of what was said to the one before.
 *
 * @param isKept asked each time
 */
export function keepAsWanted(socket: Socket, isKept: () => boolean): void {
  const say = () => {
    if (!isKept()) socket.unref();
  };
  say();
  if (socket.connecting) socket.on("connectionAttempt", say).once("connect", say);
}
