import type { RelaySocket } from "./relay-socket.ts";
import { createSockets, type SocketsOptions } from "./sockets.ts";

/**
 * For the `stream` option of `pg`: its connections go by the relay, and all else stays as it is, TLS included.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`
 * @throws RelayError `request_invalid` where the URL is not valid
 * @example
 * const pool = new pg.Pool({
 *   connectionString: process.env.DATABASE_URL,
 *   stream: pgStream(process.env.HOLDFAST_URL),
 * });
 */
export function pgStream(url: string | undefined, options?: SocketsOptions): () => RelaySocket {
  const { socket } = createSockets(url, options);
  // pg itself says where to: it calls connect(port, host).
  return () => socket();
}
