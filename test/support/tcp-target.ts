import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** A TCP server of the test's own. */
export interface TcpTarget {
  readonly port: number;
  /** `tcp://127.0.0.1:port`, as a grant names it. */
  readonly url: string;
  /** Connections in the order in which they came. */
  readonly sockets: readonly Socket[];
  close(): Promise<void>;
}

/**
 * @param serve what is done with a connection; both sides can be ended on their own
 * @example const target = await startTcpTarget((socket) => socket.pipe(socket));
 */
export async function startTcpTarget(
  serve: (socket: Socket) => void,
  host = "127.0.0.1",
): Promise<TcpTarget> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `tcp://${host}:${port}`,
    sockets,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
