import { once } from "node:events";
import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { Field } from "../../protocol/headers.ts";
import { BodyRecord } from "./http-message.ts";
import type { OriginKeys } from "./raw-origin.ts";

/** One request on a stream of its own, and the stream to answer on. */
export interface Http2Exchange {
  /** Pseudo-fields and fields, as they came. */
  readonly fields: readonly Field[];
  readonly body: BodyRecord;
  /** Resolves when the body ended or the stream was reset; `body.whole` tells which. */
  readonly ended: Promise<void>;
  /** Resolves when the stream is gone, with the code it was ended by. */
  readonly closed: Promise<number>;
  readonly stream: ServerHttp2Stream;
  readonly session: ServerHttp2Session;
}

export type Http2Script = (exchange: Http2Exchange) => void | Promise<void>;

/** An origin that speaks HTTP/2 alone, and answers as it is told. */
export class Http2Origin {
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #scripts: Http2Script[] = [];
  readonly #seen: Http2Exchange[] = [];
  readonly #waiting: ((exchange: Http2Exchange) => void)[] = [];

  private constructor(keys: OriginKeys) {
    this.#server = createSecureServer({ ...keys, maxHeaderListPairs: 1_000 });
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => {}).on("close", () => this.#sessions.delete(session));
    });
    this.#server.on("stream", (stream, _headers, _flags, raw) =>
      this.#take(stream as ServerHttp2Stream, raw),
    );
  }

  static async start(port: number, keys: OriginKeys): Promise<Http2Origin> {
    const origin = new Http2Origin(keys);
    origin.#server.listen(port, "127.0.0.1");
    await once(origin.#server, "listening");
    return origin;
  }

  get url(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  next(script: Http2Script): void {
    this.#scripts.push(script);
  }

  async request(): Promise<Http2Exchange> {
    return this.#seen.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #take(stream: ServerHttp2Stream, raw: readonly string[]): void {
    const ended = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<number>();
    const fields: Field[] = [];
    for (let i = 0; i < raw.length; i += 2) fields.push([raw[i]!, raw[i + 1]!]);
    const body = new BodyRecord();
    const exchange = {
      fields,
      body,
      ended: ended.promise,
      closed: closed.promise,
      stream,
      session: stream.session as ServerHttp2Session,
    };
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => body.add(chunk));
    stream.on("end", () => {
      body.whole = !stream.aborted;
      ended.resolve();
    });
    stream.on("aborted", () => (body.whole = false));
    stream.on("close", () => {
      ended.resolve();
      closed.resolve(stream.rstCode ?? 0);
    });
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#seen.push(exchange);
    else waiting(exchange);
    const script = this.#scripts.shift();
    if (script === undefined) void ended.promise.then(() => body.whole && answerOk(stream));
    else Promise.resolve(script(exchange)).catch((error: unknown) => stream.destroy(error as Error));
  }
}

function answerOk(stream: ServerHttp2Stream): void {
  stream.respond({ ":status": 200, "content-length": "2" });
  stream.end("ok");
}
