import { once } from "node:events";
import type { Socket } from "node:net";
import type { Duplex, Writable } from "node:stream";
import { createSockets, type Sockets, type SocketsOptions } from "./sockets.ts";

/**
 * Opens a connection by the relay. Rejects with a RelayError. The Duplex is half-open capable: `end()` sends FIN, 'end'
 * comes when the target's FIN came, `destroy(error)` resets.
 */
export type Opener = (target: OpenerTarget) => Promise<Duplex>;

/** What is to be connected to. */
export interface OpenerTarget {
  readonly host: string;
  readonly port: number;
  readonly signal?: AbortSignal;
  /**
   * Gets what is being connected where its first bytes can go ahead; if another one is tried after it, that as well. What comes to
   * nothing is destroyed.
   */
  readonly early?: (connecting: Connecting) => void;
}

/** What takes bytes before it is connected. */
export type Connecting = Writable & Pick<Socket, "bytesWritten">;

/**
 * The opener that goes by the relay.
 *
 * @param url as in HOLDFAST_URL
 * @throws RelayError `request_invalid` where the URL is not valid
 * @example
 * const open = createOpener(process.env.HOLDFAST_URL);
 * const connection = await open({ host: "db.example.com", port: 5432 });
 */
export function createOpener(url: string | undefined, options?: SocketsOptions): Opener {
  return openerOf(createSockets(url, options));
}

/** The same of sockets that are at hand. */
export function openerOf(sockets: Sockets): Opener {
  return async ({ early, ...target }) => {
    const socket = sockets.connect({ ...target, allowHalfOpen: true });
    if (socket.isEarly) early?.(socket);
    await once(socket, "connect");
    return socket;
  };
}
