import type { Socket } from "node:net";
import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { isRelayError, RelayError } from "../protocol/errors.ts";
import type { TlsRules } from "../protocol/tls-rules.ts";
import { STREAM_BUFFER_BYTES } from "./limits.ts";
import { parseIp } from "./ip-address.ts";
import { createTlsContexts, pinFailure, tlsRulesKey } from "./tls-rules.ts";
import { createTlsSessions } from "./tls-sessions.ts";

/** What is asked of one handshake. */
export interface SecureRequest {
  /** The name, or the IP literal, that the certificate must be valid for. */
  readonly host: string;
  readonly port: number;
  readonly alpn: readonly string[];
  /** What is asked of it besides the verification that is always made. */
  readonly rules?: TlsRules | undefined;
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
 * TLS 1.2 or newer, with certificates always verified; rules ask for more, never for less.
 *
 * @example
 * const client = createTlsClient({ ca: [], deadlineMs: 10_000, now: () => performance.now() });
 * const { socket } = await client.secure(plain, { host: "api.bank.com", port: 443, alpn: ["http/1.1"] });
 */
export function createTlsClient({ ca, deadlineMs, now }: TlsClientOptions): TlsClient {
  const contexts = createTlsContexts(ca);
  const sessions = createTlsSessions(now);

  return {
    async secure(plain, { host, port, alpn, rules, sessionKey, signal }) {
      const secureContext = contexts.contextFor(rules);
      // A resumed session shows no certificate: it is good for the very name and port, and by the very rules, that it was
      // proven for.
      const key =
        sessionKey === undefined ? undefined : JSON.stringify([sessionKey, host, port, tlsRulesKey(rules)]);
      const session = key === undefined ? undefined : sessions.get(key);
      const pins = rules?.pins;
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
          // Node asks this of a certificate that it has verified, and not of a session that goes on.
          ...(pins !== undefined && {
            checkServerIdentity: (name: string, certificate: PeerCertificate) =>
              checkServerIdentity(name, certificate) ?? pinFailure(host, certificate, pins),
          }),
        });

        const onAbort = () => fail(signal?.reason as Error);
        const onError = (error: NodeJS.ErrnoException) => fail(failureOf(host, socket, error, rules));
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
function failureOf(
  host: string,
  socket: TLSSocket,
  error: NodeJS.ErrnoException,
  rules: TlsRules | undefined,
): RelayError {
  if (isRelayError(error)) return error;
  const code = error.code ?? "no code";
  if (typeof socket.authorizationError === "string" || socket.authorizationError instanceof Error) {
    const by = rules?.ca === undefined ? "" : " by the ca of the client's record, which replaces all others";
    return new RelayError("tls_certificate", `the certificate of ${host} was rejected${by}: ${code}`, {
      cause: error,
    });
  }
  const least = rules?.min === undefined ? "" : ` (the client's record asks for ${rules.min} at least)`;
  return new RelayError("tls_failed", `the TLS handshake with ${host} failed: ${code}${least}`, {
    cause: error,
  });
}
