import { connect, createServer, type Server, type Socket } from "node:net";

/** A hop between client and edge, or node, that can break. */
export class Hop {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async before(edge: string): Promise<Hop> {
    const port = Number(new URL(edge).port);
    const server = createServer((socket) => {
      const further = connect(port, "127.0.0.1");
      for (const end of [socket, further]) {
        hop.#sockets.add(end);
        end.on("error", () => {});
      }
      socket.pipe(further).pipe(socket);
    });
    const hop = new Hop(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return hop;
  }

  /** Where it listens, on 127.0.0.1. */
  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** A fetch that goes by this hop. */
  get fetch(): typeof fetch {
    const { port } = this;
    return (input, init) => fetch((input as string).replace(/:\d+\//, `:${port}/`), init);
  }

  break(how: "fin" | "reset"): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      if (how === "fin") socket.end();
      else socket.resetAndDestroy();
    }
  }

  close(): void {
    this.break("reset");
    this.#server.close();
  }
}
