import type { RelaySocket } from "./relay-socket.ts";
import { createSockets, type SocketsOptions } from "./sockets.ts";

/** What mysql2 calls its `stream` option with, as far as it is used here. */
export interface MysqlStreamRequest {
  readonly config: { readonly host?: string | undefined; readonly port?: number | string | undefined };
}

/**
 * For the `stream` option of `mysql2`: its connections go by the relay, and all else stays as it is, TLS included.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`
 * @throws RelayError `request_invalid` where the URL is not valid
 * @example
 * const pool = mysql.createPool({
 *   uri: process.env.DATABASE_URL,
 *   stream: mysqlStream(process.env.HOLDFAST_URL),
 * });
 */
export function mysqlStream(
  url: string | undefined,
  options?: SocketsOptions,
): (request: MysqlStreamRequest) => RelaySocket {
  const { connect } = createSockets(url, options);
  return ({ config }) => connect({ host: config.host ?? "localhost", port: Number(config.port ?? 3_306) });
}
