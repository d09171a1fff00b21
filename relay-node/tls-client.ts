import type { Socket } from "node:net";
import { connect, createSecureContext, getCACertificates, type TLSSocket } from "node:tls";
import { RelayError } from "../protocol/errors.ts";
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

/**
 * TLS 1.2 or newer, certificates always verified against the default roots and `ca`.
 *
 * @param deadlineMs for one handshake, in milliseconds
 * @example await createTlsClient({ ca: [], deadlineMs: 10_000 }).secure(socket, { host: "api.bank.com", port: 443, alpn: [] })
 */
export function createTlsClient({
  ca,
  deadlineMs,
}: {
  readonly ca: readonly string[];
  readonly deadlineMs: number;
}): TlsClient {
  // Parsing the roots takes longer than a handshake, so that all connections share one context.
  const secureContext = createSecureContext({
    minVersion: "TLSv1.2",
    ...(ca.length > 0 && { ca: [...getCACertificates("default"), ...ca] }),
  });
  const sessions = createTlsSessions(() => performance.now());

  return {
    secure(plain, { host, port, alpn, sessionKey, signal }) {
      // A resumed session shows no certificate, so it is good for the very name and port that it was proven for.
      const key = sessionKey === undefined ? undefined : JSON.stringify([sessionKey, host, port]);
      const session = key === undefined ? undefined : sessions.get(key);
      return new Promise((resolve, reject) => {
        const socket = connect({
          socket: plain,
          secureContext,
          rejectUnauthorized: true,
          // RFC 6066 section 3 has no literals in SNI; the certificate is checked against `host` then.
          ...(parseIp(host) === undefined ? { servername: host } : { host }),
          ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
          ...(session !== undefined && { session }),
        });
        let early: Buffer | undefined;
        let isProven = false;

        const onAbort = () => fail(signal?.reason);
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

        function fail(error: unknown): void {
          settle();
          // A session that was offered may be what failed.
          if (key !== undefined) sessions.delete(key);
          socket.on("error", () => {}).destroy();
          reject(error as Error);
        }

        if (key !== undefined) {
          // TLS 1.2 hands its session over before the certificate's name was checked, TLS 1.3 at any time after.
          socket.on("session", (ticket: Buffer) => {
            if (isProven) sessions.put(key, ticket);
            else early = ticket;
          });
        }
        socket.on("error", onError).on("close", onClose);
        socket.once("secureConnect", () => {
          settle();
          isProven = true;
          if (key !== undefined && early !== undefined) sessions.put(key, early);
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

/** Node notes on the socket when it was the certificate that failed, which needs no list of OpenSSL's codes. */
function failureOf(host: string, socket: TLSSocket, error: NodeJS.ErrnoException): RelayError {
  const code = error.code ?? "no code";
  if (typeof socket.authorizationError === "string" || socket.authorizationError instanceof Error) {
    return new RelayError("tls_certificate", `the certificate of ${host} was rejected: ${code}`, {
      cause: error,
    });
  }
  return new RelayError("tls_failed", `the TLS handshake with ${host} failed: ${code}`, { cause: error });
}
