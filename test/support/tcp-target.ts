import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Readable } from "node:stream";

/** A TCP server that stands for a target. */
export interface TcpTarget {
  readonly host: string;
  readonly port: number;
  /** Every connection that came, in order. */
  readonly connections: readonly Socket[];
  readonly close: () => Promise<void>;
}

/** @param serve what is done with each connection; half-closes are its own affair */
export async function startTcpTarget(serve: (connection: Socket) => void): Promise<TcpTarget> {
  const connections: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (connection) => {
    connections.push(connection);
    connection.on("error", () => {});
    serve(connection);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    connections,
    close: () => {
      for (const connection of connections) connection.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** All that comes. Unlike a loop over the stream, it does not destroy a half-closed one. */
export async function allOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "end");
  return Buffer.concat(chunks);
}
