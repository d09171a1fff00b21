import { once } from "node:events";
import { createSecureServer, type Http2ServerRequest } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { createCa, issueCertificate } from "../../../dev/certificates.ts";

/** What a server sees of a request and of the connection it came on. */
export interface SeenSecurely {
  readonly servername: string | false | null;
  readonly alpn: string | false | null;
  readonly isResumed: boolean;
  readonly version: string;
  readonly method: string;
  readonly bodyBytes: number;
  /** Which of the connections it was, from 1. */
  readonly connection: number;
}

/** A server for https, HTTP/1.1 and HTTP/2, that answers with what it has seen. */
export interface SecureTarget {
  readonly origin: string;
  readonly port: number;
  /** The authority that its certificate is to be judged by. */
  readonly ca: string;
  readonly close: () => Promise<void>;
}

export async function startSecureTarget(): Promise<SecureTarget> {
  const ca = await createCa();
  const { cert, key } = await issueCertificate(ca, { dns: ["localhost"] });
  const server = createSecureServer({ cert, key, allowHTTP1: true });
  const sockets = new Map<Socket, number>();
  server.on("secureConnection", (socket) => sockets.set(socket, sockets.size + 1));
  server.on("request", (request, response) => {
    let bodyBytes = 0;
    request.on("data", (chunk: Buffer) => (bodyBytes += chunk.length));
    request.on("end", () => {
      const socket = tlsOf(request);
      const seen: SeenSecurely = {
        servername: (socket as TLSSocket & { servername: string | false | null }).servername,
        alpn: socket.alpnProtocol,
        isResumed: socket.isSessionReused(),
        version: request.httpVersion,
        method: request.method,
        bodyBytes,
        connection: sockets.get(socket) ?? 0,
      };
      response.end(JSON.stringify(seen));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    origin: `https://localhost:${port}`,
    port,
    ca: ca.cert,
    close: async () => {
      server.close();
      for (const socket of sockets.keys()) socket.destroy();
      await once(server, "close");
    },
  };
}

/** HTTP/2 keeps the socket itself behind its session. */
function tlsOf(request: Http2ServerRequest): TLSSocket {
  const raw = request.stream === undefined ? request.socket : request.stream.session?.socket;
  return raw as TLSSocket;
}
