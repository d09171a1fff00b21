import type { Socket } from "node:net";
import { connect, createSecureContext, getCACertificates, type TLSSocket } from "node:tls";
import { RelayError } from "../protocol/errors.ts";
import { STREAM_BUFFER_BYTES } from "./limits.ts";
import { parseIp } from "./ip-address.ts";
import { createTlsSessions } from "./tls-sessions.ts";

/** What is asked of one handshake. */
export interface SecureRequest {
  /** The name, or the IP literal, that the certificate must be valid for. */
  readonly host: string;
  readonly port: number;
  readonly alpn: readonly string[];
  readonly sessionKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A connection after its handshake. */
export interface Secured {
  readonly socket: TLSSocket;
  readonly alpn: string | undefined;
  readonly tlsVersion: string | undefined;
  readonly tlsResumed: boolean;
}

/** Puts TLS on connections that are already open. */
export interface TlsClient {
  /**
   * Takes the connection over: where this fails, it is destroyed.
   * @throws RelayError `tls_certificate`, `tls_failed`; or the signal's reason
   */
  secure(socket: Socket, request: SecureRequest): Promise<Secured>;
}

/** What a TLS client is made of. */
export interface TlsClientOptions {
  /** PEM certificates of authorities that are trusted besides the default roots. */
  readonly ca: readonly string[];
  /** For one handshake, in milliseconds. */
  readonly deadlineMs: number;
  /** Milliseconds, from any origin that does not jump: ages sessions. */
  readonly now: () => number;
}

/** Node's typings leave out that a TLS socket takes this. */
const BUFFER: { readonly highWaterMark: number } = { highWaterMark: STREAM_BUFFER_BYTES };

/**
 * TLS 1.2 or newer, with certificates always verified.
 *
 * @example
 * const client = createTlsClient({ ca: [], deadlineMs: 10_000, now: () => performance.now() });
 * const { socket } = await client.secure(plain, { host: "api.bank.com", port: 443, alpn: ["http/1.1"] });
 */
export function createTlsClient({ ca, deadlineMs, now }: TlsClientOptions): TlsClient {
  // Parsing the roots takes longer than a handshake, so that all connections share one context.
  const secureContext = createSecureContext({
    minVersion: "TLSv1.2",
    ...(ca.length > 0 && { ca: [...getCACertificates("default"), ...ca] }),
  });
  const sessions = createTlsSessions(now);

  return {
    secure(plain, { host, port, alpn, sessionKey, signal }) {
      // A resumed session shows no certificate: it is good for the very name and port it was proven for.
      const key = sessionKey === undefined ? undefined : JSON.stringify([sessionKey, host, port]);
      const session = key === undefined ? undefined : sessions.get(key);
      return new Promise((resolve, reject) => {
        const socket = connect({
          socket: plain,
          secureContext,
          rejectUnauthorized: true,
          ...BUFFER,
          // RFC 6066 section 3 has no literals in SNI; the certificate is checked against `host` then.
          ...(parseIp(host) === undefined ? { servername: host } : { host }),
          ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
          ...(session !== undefined && { session }),
        });

        const onAbort = () => fail(signal?.reason as Error);
        const onError = (error: NodeJS.ErrnoException) => fail(failureOf(host, socket, error));
        const onClose = () =>
          fail(new RelayError("tls_failed", `${host} closed the connection during the TLS handshake`));
        const deadline = setTimeout(() => {
          fail(
            new RelayError(
              "tls_failed",
              `${host} did not complete the TLS handshake within ${deadlineMs} ms`,
            ),
          );
        }, deadlineMs);

        function settle(): void {
          clearTimeout(deadline);
          signal?.removeEventListener("abort", onAbort);
          socket.off("error", onError).off("close", onClose);
        }

        function fail(error: Error): void {
          settle();
          // A session that was offered may be what failed.
          if (key !== undefined) sessions.delete(key);
          socket.on("error", () => {}).destroy();
          reject(error);
        }

        if (key !== undefined) {
          // Node holds a session back until the certificate is verified, and asks for one only where someone
          // listens from the start.
          socket.on("session", (ticket: Buffer) => {
            if (socket.isSessionReused()) sessions.renew(key, ticket);
            else sessions.put(key, ticket);
          });
        }
        socket.on("error", onError).on("close", onClose);
        socket.once("secureConnect", () => {
          settle();
          resolve({
            socket,
            alpn: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined,
            tlsVersion: socket.getProtocol() ?? undefined,
            tlsResumed: socket.isSessionReused(),
          });
        });
        signal?.addEventListener("abort", onAbort, { once: true });
        if (signal?.aborted === true) onAbort();
      });
    },
  };
}

/**
 * Node notes on the socket when it was the certificate that failed, which needs no list of OpenSSL's codes.
 */
function failureOf(host: string, socket: TLSSocket, error: NodeJS.ErrnoException): RelayError {
  const code = error.code ?? "no code";
  if (typeof socket.authorizationError === "string" || socket.authorizationError instanceof Error) {
    return new RelayError("tls_certificate", `the certificate of ${host} was rejected: ${code}`, {
      cause: error,
    });
  }
  return new RelayError("tls_failed", `the TLS handshake with ${host} failed: ${code}`, { cause: error });
}
