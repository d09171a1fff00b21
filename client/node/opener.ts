import { once } from "node:events";
import type { Duplex } from "node:stream";
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
  /** Where bytes can be sent ahead, the Duplex may come before it is connected; a failure is its `error` then. */
  readonly early?: boolean;
}

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
  return async ({ early = false, ...target }) => {
    const socket = sockets.connect({ ...target, allowHalfOpen: true });
    if (early && socket.isEarly) return socket;
    await once(socket, "connect");
    return socket;
  };
}
