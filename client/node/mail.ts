import type { Socket } from "node:net";
import { createSockets, type SocketsOptions } from "./sockets.ts";

/** What nodemailer calls its `getSocket` option with, as far as it is used here. */
export interface MailSocketRequest {
  readonly host?: string | undefined;
  readonly port?: number | string | undefined;
  readonly secure?: boolean | undefined;
}

/** nodemailer's types ask for a system's socket; what it uses of one, a RelaySocket has. */
type Callback = (error: Error | null, socketOptions: { readonly connection: Socket } | false) => void;

/**
 * For the `getSocket` option of nodemailer's SMTP transports, pooled or not: its connections go by the relay, and all else stays
 * as it is, TLS and STARTTLS included.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`
 * @throws RelayError `request_invalid` where the URL is not valid
 * @example
 * const transport = nodemailer.createTransport({
 *   host: "smtp.example.com",
 *   port: 587,
 *   auth: { user, pass },
 *   getSocket: mailSocket(process.env.HOLDFAST_URL),
 * });
 */
export function mailSocket(
  url: string | undefined,
  options?: SocketsOptions,
): (request: MailSocketRequest, callback: Callback) => void {
  const sockets = createSockets(url, options);
  return ({ host = "localhost", port, secure }, callback) => {
    // The ports that nodemailer takes by itself.
    const connection = sockets.connect({ host, port: Number(port ?? (secure === true ? 465 : 587)) });
    const failed = (error: Error) => callback(error, false);
    connection.once("error", failed);
    connection.once("connect", () => {
      connection.off("error", failed);
      callback(null, { connection: connection as unknown as Socket });
    });
  };
}
