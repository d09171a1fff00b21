import { readFileSync, watchFile } from "node:fs";
import type { IncomingMessage, RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import type { Duplex } from "node:stream";
import { createSecureContext } from "node:tls";
import type { Logger } from "pino";
import { HTTP_HEADER_MAX_BYTES } from "../protocol/limits.ts";
import type { NodeConfig } from "./config.ts";
import {
  CERTIFICATE_POLL_MS,
  CONNECTIONS_MAX,
  CONNECTIONS_PER_ADDRESS,
  HEADERS_DEADLINE_MS,
  INBOUND_IDLE_MS,
  STREAM_BUFFER_BYTES,
} from "./limits.ts";

/** What the listener hands requests to. */
export interface ListenerHandlers {
  readonly request: RequestListener;
  /** The path whose requests to upgrade go to `upgrade`; all others are served as if they asked for none. */
  readonly upgradePath: string;
  /** `head` is what came behind the request already. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/**
 * The node's HTTPS listener. It stands on the open internet: a head has a deadline, an address a cap on connections, and
 * certificate and key are read again when their files change.
 *
 * @throws the system's error where it can't listen, OpenSSL's where the files don't fit each other
 */
export async function listenHttps(
  listen: NodeConfig["listen"],
  handlers: ListenerHandlers,
  log: Logger,
): Promise<Server> {
  const read = () => ({
    cert: readFileSync(listen.cert),
    key: readFileSync(listen.key),
    minVersion: "TLSv1.2" as const,
  });
  const server = createServer(
    {
      ...read(),
      maxHeaderSize: HTTP_HEADER_MAX_BYTES,
      handshakeTimeout: HEADERS_DEADLINE_MS,
      headersTimeout: HEADERS_DEADLINE_MS,
      connectionsCheckingInterval: 1_000,
      // Uploads may take their time; what stands still is cut by the exchange.
      requestTimeout: 0,
      // Longer than the edge keeps a connection, so that it is never this end that closes under a request.
      keepAliveTimeout: INBOUND_IDLE_MS,
      highWaterMark: STREAM_BUFFER_BYTES,
      noDelay: true,
      shouldUpgradeCallback: ({ url }) => url === handlers.upgradePath,
    },
    handlers.request,
  );
  server.on("upgrade", handlers.upgrade);
  server.maxConnections = CONNECTIONS_MAX;
  capConnections(server);
  // Node would answer an Expect that it doesn't know by itself, without a mark of ours; no field is expected to matter here.
  server.on("checkExpectation", handlers.request);
  // A stranger's broken handshake or half a request is no event worth a line at info.
  server.on("tlsClientError", (error) =>
    log.debug({ code: (error as NodeJS.ErrnoException).code }, "tls handshake failed"),
  );
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((done, failed) => {
    server.once("error", failed).listen(listen.port, listen.host, () => {
      server.off("error", failed);
      done();
    });
  });
  const reload = () => {
    try {
      const next = read();
      createSecureContext(next);
      server.setSecureContext(next);
      log.info("certificate reloaded");
    } catch (error) {
      // Between the writes of two files they don't fit; the next poll sees both.
      log.error({ cause: (error as Error).message }, "certificate not reloaded: the old one stays");
    }
  };
  const watchers = [listen.cert, listen.key].map((file) =>
    watchFile(file, { interval: CERTIFICATE_POLL_MS, persistent: false }, reload),
  );
  server.on("close", () => watchers.forEach((watcher) => watcher.removeAllListeners()));
  return server;
}

function capConnections(server: Server): void {
  const open = new Map<string, number>();
  server.on("connection", (socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (open.get(address) ?? 0) + 1;
    open.set(address, count);
    socket.once("close", () => {
      const left = open.get(address)! - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
    if (count > CONNECTIONS_PER_ADDRESS) socket.destroy();
  });
}
