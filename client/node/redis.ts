import { connect as connectSystem, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { RelayError } from "../../protocol/errors.ts";
import { passOnRef } from "./keep-alive.ts";
import { createSockets, type Sockets, type SocketsOptions } from "./sockets.ts";

/** What ioredis is set up with, as far as it is used here. */
interface RedisOptions {
  readonly host?: string | null;
  readonly port?: number | string | null;
  readonly path?: string | null;
  readonly tls?: ConnectionOptions | null;
  readonly sentinels?: readonly unknown[] | null;
  readonly disconnectTimeout?: number;
}

/** How long ioredis itself waits for a connection to close. */
const DISCONNECT_MS = 2_000;

/**
 * For the `Connector` option of `ioredis`: connections to `host` and `port` go by the relay, with TLS where `tls` is set. A `path` is
 * connected to as ever; `sentinels` are refused, since their answers name hosts that only they can look up.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`
 * @returns a class of the kind that ioredis calls; `never` since its own has private members that no other can have
 * @throws RelayError `request_invalid` where the URL is not valid
 * @example
 * const redis = new Redis(process.env.REDIS_URL, { Connector: redisConnector(process.env.HOLDFAST_URL) });
 */
export function redisConnector(
  url: string | undefined,
  options?: SocketsOptions,
): new (redisOptions: unknown) => never {
  const sockets = createSockets(url, options);
  class Connector extends RedisConnector {
    constructor(redisOptions: unknown) {
      super(sockets, redisOptions as RedisOptions);
    }
  }
  return Connector as unknown as new (redisOptions: unknown) => never;
}

/** What ioredis asks of a connector: `connect` for each attempt, `disconnect` to end the last one, `check` of what INFO says. */
class RedisConnector {
  readonly #sockets: Sockets;
  readonly #options: RedisOptions;
  #stream: Duplex | undefined;
  #isWanted = false;
  firstError: Error | undefined;

  constructor(sockets: Sockets, options: RedisOptions) {
    this.#sockets = sockets;
    this.#options = options;
  }

  check(): boolean {
    return true;
  }

  async connect(): Promise<Duplex> {
    const { path, sentinels } = this.#options;
    if (sentinels !== undefined && sentinels !== null) {
      throw new RelayError("request_invalid", "sentinels can't be asked by the relay: name host and port");
    }
    this.#isWanted = true;
    // ioredis may change its mind while it gets hold of the promise.
    await Promise.resolve();
    if (!this.#isWanted) throw new Error("Connection is closed.");
    this.firstError = undefined;
    const stream = typeof path === "string" && path !== "" ? this.#bySystem(path) : this.#byRelay();
    stream.once("error", (error: Error) => {
      this.firstError = error;
    });
    this.#stream = stream;
    return stream;
  }

  disconnect(): void {
    this.#isWanted = false;
    const stream = this.#stream;
    if (stream === undefined) return;
    const timer = setTimeout(() => stream.destroy(), this.#options.disconnectTimeout ?? DISCONNECT_MS);
    stream.once("close", () => clearTimeout(timer));
    stream.end();
  }

  #bySystem(path: string): Socket {
    const { tls } = this.#options;
    return tls === undefined || tls === null ? connectSystem(path) : connectTls({ path, ...tls });
  }

  #byRelay(): Duplex {
    const { tls } = this.#options;
    const host = this.#options.host ?? "localhost";
    const socket = this.#sockets.connect({ host, port: Number(this.#options.port ?? 6_379) });
    if (tls === undefined || tls === null) return socket;
    const secure = connectTls({ host, ...tls, socket });
    passOnRef(secure, socket);
    return secure;
  }
}
