import { once } from "node:events";
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Socket } from "node:net";

/** A target that notes whatever gets as far as to it. */
export interface CountingTarget {
  readonly port: number;
  /** Connections since the start, also those that never said a word. */
  readonly connections: number;
  /** Its own address of each of them, as text. */
  readonly addresses: readonly string[];
  /** Requests whose head came. */
  readonly heads: readonly {
    readonly method: string;
    readonly url: string;
    readonly fields: readonly string[];
  }[];
  /** Bodies that came whole, by length. */
  readonly bodies: readonly number[];
  close(): Promise<void>;
}

/** How a target listens and answers. */
export interface CountingOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly host?: string;
  readonly port?: number;
  /** What is done once a request has come whole; `ok` by default. */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => void;
}

/**
 * @example
 * const target = await startCountingTarget({ tls: { cert, key } });
 * expect(target.connections).toBe(0);
 */
export async function startCountingTarget(options: CountingOptions = {}): Promise<CountingTarget> {
  const { tls, host = "127.0.0.1", port = 0, answer } = options;
  const noted = {
    addresses: [] as string[],
    heads: [] as CountingTarget["heads"][number][],
    bodies: [] as number[],
  };
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    noted.heads.push({ method: request.method!, url: request.url!, fields: request.rawHeaders });
    let size = 0;
    request.on("data", (chunk: Buffer) => (size += chunk.length));
    request.on("error", () => {});
    request.on("end", () => {
      if (!request.complete) return;
      noted.bodies.push(size);
      if (answer === undefined) response.writeHead(200, { "Content-Type": "text/plain" }).end("ok");
      else answer(request, response);
    });
  };
  const server = tls === undefined ? createHttp(serve) : createHttps(tls, serve);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    // A listener of both families tells IPv4 by IPv6.
    noted.addresses.push((socket.localAddress ?? "").replace(/^::ffff:(?=\d+\.)/, ""));
    sockets.add(socket.on("error", () => {}));
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", () => {});
  server.listen({ host, port });
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return noted.addresses.length;
    },
    addresses: noted.addresses,
    heads: noted.heads,
    bodies: noted.bodies,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}
