import type { AddressInfo, Server, Socket } from "node:net";
import type { Opener } from "../opener.ts";
import { reset } from "../reset.ts";
import type { Credentials } from "./credentials.ts";

/** What a local proxy needs. */
export interface LocalProxyOptions {
  /** Opens each connection where it belongs. */
  readonly open: Opener;
  readonly credentials: Credentials;
  /** 0 or left out: any that is free. */
  readonly port?: number | undefined;
  /** Whether it keeps the process alive by itself; it does where left out. */
  readonly keepsAlive?: boolean;
}

/** A proxy that listens on 127.0.0.1. */
export interface LocalProxy {
  readonly port: number;
  /** Takes no more connections, and breaks those that there are. */
  readonly close: () => Promise<void>;
}

const HOST = "127.0.0.1";

/**
 * Lets a server listen for this machine alone.
 * @throws Error as `server.listen` has it, for instance EADDRINUSE
 */
export async function listen(
  server: Server,
  { port = 0, keepsAlive = true }: Pick<LocalProxyOptions, "port" | "keepsAlive">,
): Promise<LocalProxy> {
  if (!keepsAlive) server.unref();
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((done, failed) => {
    server.once("error", failed);
    server.listen({ host: HOST, port }, () => {
      server.off("error", failed);
      done();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        for (const socket of sockets) reset(socket);
      }),
  };
}
