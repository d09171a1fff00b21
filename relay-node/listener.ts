import type { IncomingMessage, RequestListener, Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Server as TlsServer, TLSSocket } from "node:tls";
import type { Logger } from "pino";
import { type CertificateFiles, keepCertificate, readCertificate } from "./certificate.ts";
import { STREAM_BUFFER_BYTES } from "./limits.ts";
import { createServer as createHttpServer } from "./node-http.ts";
import { carry } from "./reset.ts";

/** Where to listen: over TLS where there is a certificate, else in the clear. */
export type ListenAddress = {
  readonly host: string;
  readonly port: number;
  /** Whether other processes may listen there, too: the system shares the connections out. */
  readonly reusePort?: boolean | undefined;
} & Partial<CertificateFiles>;

/** What came as a request that HTTP's server lets go of. `head` is what came behind it already. */
export type OnSocket = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** What the listener hands requests to. */
export interface ListenerHandlers {
  /** Whether a connection that was just accepted may stay; one that may not is cut by whoever says so. */
  readonly admit: (socket: Socket) => boolean;
  readonly request: RequestListener;
  /** Whether a request to upgrade goes to `upgrade`; all others are served as if they asked for none. */
  readonly isUpgrade: (request: IncomingMessage) => boolean;
  readonly upgrade: OnSocket;
  /** CONNECT; its connection is closed where this is left out. */
  readonly connect?: OnSocket;
  /** What speaks HTTP from now on: the connection, or what TLS made of it. */
  readonly opened?: (socket: Duplex) => void;
  /** What can't be read as HTTP, or takes too long to come; cut where this is left out. */
  readonly unreadable?: (error: NodeJS.ErrnoException, socket: Duplex) => void;
  /** A request with `Expect: 100-continue`, which this has to answer; Node answers where it is left out. */
  readonly expecting?: RequestListener;
}

/** How much a caller may send and how long it may take. */
export interface ListenerBounds {
  /** The longest head of a request. */
  readonly headBytes: number;
  /** From a connection's beginning to the end of its TLS handshake, and of a request's head. */
  readonly headMs: number;
  /** A connection may rest this long between two requests. */
  readonly idleMs: number;
  /** A connection that says nothing for this long is asked for by TCP, so that one whose end was lost is found; not where left out. */
  readonly tcpKeepAliveMs?: number;
}

/**
 * A listener of the node's, for HTTP or HTTPS. It stands on the open internet: handshakes and heads have a deadline, and
 * certificate and key are read again when their files change.
 *
 * @throws the system's error where it can't listen, OpenSSL's where the files don't fit each other
 */
export async function listenHttp(
  listen: ListenAddress,
  handlers: ListenerHandlers,
  bounds: ListenerBounds,
  log: Logger,
): Promise<Server> {
  const { cert, key } = listen;
  const files = cert === undefined || key === undefined ? undefined : { cert, key };
  const isProxy = handlers.connect !== undefined;
  const options = {
    maxHeaderSize: bounds.headBytes,
    headersTimeout: bounds.headMs,
    connectionsCheckingInterval: Math.min(1_000, bounds.headMs / 3),
    // Uploads may take their time; what stands still is cut by the exchange.
    requestTimeout: 0,
    keepAliveTimeout: bounds.idleMs,
    highWaterMark: STREAM_BUFFER_BYTES,
    noDelay: true,
    keepAlive: bounds.tcpKeepAliveMs !== undefined,
    keepAliveInitialDelay: bounds.tcpKeepAliveMs ?? 0,
    // A proxy looks at the Host field by itself: Node's own answer has no mark of ours.
    requireHostHeader: !isProxy,
    shouldUpgradeCallback: (request: IncomingMessage) => handlers.isUpgrade(request),
  };
  const server =
    files === undefined
      ? createHttpServer(options, handlers.request)
      : createHttpsServer(
          // Each end of a tunnel can end on its own, as it can without TLS.
          { ...options, ...readCertificate(files), allowHalfOpen: isProxy, handshakeTimeout: bounds.headMs },
          handlers.request,
        );
  // It would leave out all beyond a number, without a word; the bytes are bounded.
  server.maxHeadersCount = 0;
  server.on("upgrade", handlers.upgrade);
  if (isProxy) server.on("connect", handlers.connect);
  if (handlers.expecting !== undefined) server.on("checkContinue", handlers.expecting);
  // Node would answer an Expect that it doesn't know by itself, without a mark of ours; no field is expected to matter here.
  server.on("checkExpectation", handlers.request);
  server.on("clientError", handlers.unreadable ?? ((_error, socket) => socket.destroy()));
  if (files === undefined) {
    server.on("connection", (socket: Socket) => {
      if (handlers.admit(socket)) handlers.opened?.(socket);
    });
  } else overTls(server as Server & TlsServer, files, handlers, log);
  await new Promise<void>((done, failed) => {
    const { host, port, reusePort = false } = listen;
    server.once("error", failed).listen({ host, port, reusePort }, () => {
      server.off("error", failed);
      done();
    });
  });
  return server;
}

function overTls(
  server: Server & TlsServer,
  files: CertificateFiles,
  handlers: ListenerHandlers,
  log: Logger,
): void {
  /** Connections by their ends, for as long as nobody knows what TLS makes of them. */
  const carriers = new Map<string, Socket>();
  const ends = ({ remoteAddress, remotePort, localAddress }: Socket) =>
    `${remoteAddress} ${remotePort} ${localAddress}`;
  server.on("connection", (socket: Socket) => {
    if (!handlers.admit(socket)) return;
    const name = ends(socket);
    carriers.set(name, socket);
    socket.once("close", () => carriers.delete(name));
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    const carrier = carriers.get(ends(socket));
    if (carrier !== undefined) carry(socket, carrier);
    handlers.opened?.(socket);
  });
  // A stranger's broken handshake or half a request is no event worth a line at info.
  server.on("tlsClientError", (error) =>
    log.debug({ code: (error as NodeJS.ErrnoException).code }, "tls handshake failed"),
  );
  keepCertificate(server, files, log);
}
