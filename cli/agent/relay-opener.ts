import { once } from "node:events";
// Not by the folder's entry, with which undici would be loaded at every start.
import { createSockets, type SocketsOptions } from "../../client/node/sockets.ts";
import type { Opener } from "./opener.ts";

/** An opener, and what it knows of its connections. */
export interface RelayOpener {
  readonly open: Opener;
  /** Resolves once what was written to connections that are closed by now has arrived, or never will. */
  readonly settled: () => Promise<void>;
}

/**
 * The opener that goes by the relay.
 *
 * @param url as in HOLDFAST_URL
 * @throws RelayError `request_invalid` where the URL is not valid
 * @example
 * const { open } = relayOpener(process.env.HOLDFAST_URL);
 * const connection = await open({ host: "db.example.com", port: 5432 });
 */
export function relayOpener(url: string | undefined, options?: SocketsOptions): RelayOpener {
  const sockets = createSockets(url, options);
  const open: Opener = async (target) => {
    const socket = sockets.connect({ ...target, allowHalfOpen: true });
    await once(socket, "connect");
    return socket;
  };
  return { open, settled: sockets.settled };
}
