import { once } from "node:events";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { BodyRecord, type MessageHead, MessageReader } from "./http-message.ts";

/** What an origin of ours presents itself with. */
export interface OriginKeys {
  readonly cert: string;
  readonly key: string;
}

/** Answers one request, byte for byte. Text is written as Latin-1. */
export type Script = (exchange: OriginExchange) => void | Promise<void>;

const OK: Script = (exchange) => exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

/** One request as it came over the wire, and the means to answer it. */
export class OriginExchange {
  readonly head: MessageHead;
  /** Number of its connection, counted from 1. */
  readonly connection: number;
  readonly body = new BodyRecord();
  /** Resolves when the body ended by its framing or broke off; `body.whole` tells which. */
  readonly ended: Promise<void>;
  /** Resolves when the connection is gone, with `performance.now()`. */
  readonly closed: Promise<number>;
  readonly #end = Promise.withResolvers<void>();
  readonly #close = Promise.withResolvers<number>();
  readonly #stream: Duplex;
  readonly #wire: Socket;

  constructor(head: MessageHead, connection: number, stream: Duplex, wire: Socket) {
    this.head = head;
    this.connection = connection;
    this.#stream = stream;
    this.#wire = wire;
    this.ended = this.#end.promise;
    this.closed = this.#close.promise;
  }

  /** Whether the connection stands. */
  get open(): boolean {
    return !this.#wire.destroyed;
  }

  /** Writes, and waits for room. */
  async send(...parts: (string | Uint8Array)[]): Promise<void> {
    for (const part of parts) {
      if (this.#stream.destroyed) return;
      const bytes = typeof part === "string" ? Buffer.from(part, "latin1") : part;
      if (!this.#stream.write(bytes)) await Promise.race([once(this.#stream, "drain"), this.closed]);
    }
  }

  /** Ends the connection in good order: over TLS with its close_notify. */
  finish(): void {
    this.#stream.end();
  }

  /** A process that is killed: the kernel says FIN, and over TLS nobody says close_notify. */
  async die(): Promise<void> {
    // What was written a moment ago is still on its way through TLS.
    await new Promise((done) => setTimeout(done, 50));
    this.#wire.unpipe();
    this.#wire.end();
    this.#wire.resume();
  }

  /** A host that vanishes and comes back: RST. */
  async reset(): Promise<void> {
    await new Promise((done) => setTimeout(done, 50));
    this.#wire.resetAndDestroy();
  }

  /** Stops reading what comes. */
  stall(): void {
    this.#stream.pause();
  }

  /** Reads on. */
  proceed(): void {
    this.#stream.resume();
  }

  /** For the origin: the body is whole. */
  complete(trailers: readonly string[]): void {
    this.body.whole = true;
    this.body.trailers = trailers;
    this.#end.resolve();
  }

  /** For the origin: the connection is gone. */
  gone(): void {
    this.#end.resolve();
    this.#close.resolve(performance.now());
  }
}

/**
 * An origin that notes every byte of each request and answers as it is told. One request after another: each takes the
 * next script, or is answered with a plain 200 when its body is whole.
 */
export class RawOrigin {
  readonly url: string;
  readonly host: string;
  readonly #scripts: Script[] = [];
  readonly #seen: OriginExchange[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #waiting: ((exchange: OriginExchange) => void)[] = [];
  #connections = 0;
  readonly #server: ReturnType<typeof createTcpServer>;
  readonly #secureContext: SecureContext | undefined;

  private constructor(port: number, keys: OriginKeys | undefined) {
    this.host = `localhost:${port}`;
    this.url = `${keys === undefined ? "http" : "https"}://${this.host}`;
    this.#secureContext = keys && createSecureContext(keys);
    this.#server = createTcpServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** @param keys for TLS; plain where it is left out */
  static async start(port: number, keys?: OriginKeys): Promise<RawOrigin> {
    const origin = new RawOrigin(port, keys);
    origin.#server.listen(port, "127.0.0.1");
    await once(origin.#server, "listening");
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many connections were ever opened. */
  get connections(): number {
    return this.#connections;
  }

  /** Answers the next request that comes. */
  next(script: Script): void {
    this.#scripts.push(script);
  }

  /** The next request, from its head on; each is given out once. */
  async request(): Promise<OriginExchange> {
    return this.#seen.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Requests that nobody has asked for. */
  get unasked(): number {
    return this.#seen.length;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(wire: Socket): void {
    this.#sockets.add(wire);
    wire.on("close", () => this.#sockets.delete(wire));
    wire.on("error", () => {});
    const connection = ++this.#connections;
    if (this.#secureContext === undefined) {
      this.#converse(wire, wire, connection);
      return;
    }
    // TLS runs over a pair in between, so that the wire can be cut under it.
    const [inner, outer] = duplexPair();
    wire.pipe(outer).pipe(wire);
    wire.on("close", () => inner.destroy());
    for (const end of [inner, outer]) end.on("error", () => {});
    const stream = new TLSSocket(inner, {
      isServer: true,
      secureContext: this.#secureContext,
      ALPNProtocols: ["http/1.1"],
    });
    this.#converse(stream, wire, connection);
  }

  #converse(stream: Duplex, wire: Socket, connection: number): void {
    let current: OriginExchange | undefined;
    const exchanges: OriginExchange[] = [];
    wire.on("close", () => exchanges.forEach((exchange) => exchange.gone()));
    const reader = new MessageReader("request", {
      head: (head) => {
        const exchange = new OriginExchange(head, connection, stream, wire);
        current = exchange;
        exchanges.push(exchange);
        const waiting = this.#waiting.shift();
        if (waiting === undefined) this.#seen.push(exchange);
        else waiting(exchange);
        const script = this.#scripts.shift();
        if (script === undefined) void exchange.ended.then(() => exchange.body.whole && OK(exchange));
        else void Promise.resolve(script(exchange)).catch((error: unknown) => wire.destroy(error as Error));
      },
      body: (chunk) => current?.body.add(chunk),
      end: (trailers) => current?.complete(trailers),
    });
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => reader.push(chunk));
    stream.on("end", () => stream.end());
  }
}
