import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { type RawData, WebSocket } from "ws";
import { errorFromProblem, RelayError } from "../../protocol/errors.ts";
import { StreamEnd } from "../../protocol/stream-end.ts";
import { type OpenMessage, parseStreamMessage, STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import type { GrantedNode } from "./node-here.ts";

/** What is asked of a node's `GET /stream`. */
export interface StreamAsk {
  readonly claims?: Readonly<Record<string, unknown>>;
  /** The subprotocols; the stream protocol alone where left out. */
  readonly protocols?: readonly string[];
  /** In place of the grant's. */
  readonly authorization?: string;
}

/** A WebSocket that is open, and the head of its 101. */
export interface Upgraded {
  readonly socket: WebSocket;
  readonly head: IncomingMessage;
  readonly inbox: Inbox;
}

/** Messages, kept until somebody listens. */
export class Inbox {
  readonly #kept: (Buffer | string)[] = [];
  #take: ((message: Buffer | string) => void) | undefined;

  constructor(socket: WebSocket) {
    socket.on("message", (data: RawData, isBinary) => {
      const message = isBinary ? (data as Buffer) : (data as Buffer).toString();
      if (this.#take === undefined) this.#kept.push(message);
      else this.#take(message);
    });
  }

  /** From now on these are told to somebody. */
  listen(take: (message: Buffer | string) => void): void {
    this.#take = take;
    for (const message of this.#kept.splice(0)) this.#take(message);
  }

  /** The next one; whoever waits takes what follows from the same turn on. */
  next(): Promise<Buffer | string> {
    const first = this.#kept.shift();
    if (first !== undefined) return Promise.resolve(first);
    return new Promise((resolve) => {
      this.#take = (message) => {
        this.#take = undefined;
        resolve(message);
      };
    });
  }
}

/**
 * Asks a node for a WebSocket.
 * @throws RelayError as the node answered, a `Failure`
 */
export function askStream(node: GrantedNode, ask: StreamAsk = {}): Promise<Upgraded> {
  const grant = node.grant({ claims: { act: "stream", ...ask.claims } });
  const socket = new WebSocket(
    `wss://localhost:${node.port}/stream`,
    [...(ask.protocols ?? [STREAM_PROTOCOL])],
    {
      ca: node.ca,
      headers: { "Relay-Authorization": ask.authorization ?? `Bearer ${grant}` },
      perMessageDeflate: false,
      lookup: (_host, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]),
    },
  );
  return new Promise((resolve, reject) => {
    let head: IncomingMessage;
    const inbox = new Inbox(socket);
    socket.on("error", reject);
    socket.once("upgrade", (response) => (head = response));
    socket.once("open", () => resolve({ socket, head, inbox }));
    socket.once("unexpected-response", (_request, response: IncomingMessage) => {
      void readFailure(response).then(reject);
    });
  });
}

/** The relay's own failure, and the fields of the answer that told of it. */
export type Failure = RelayError & { readonly headers: IncomingHttpHeaders };

/** A failure in place of the 101. */
export async function failureOf(asked: Promise<unknown>): Promise<Failure> {
  const error: unknown = await asked.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RelayError)) throw new Error("it did not fail as the relay fails", { cause: error });
  return error as Failure;
}

async function readFailure(response: IncomingMessage): Promise<RelayError> {
  let body = "";
  response.on("data", (chunk: Buffer) => (body += chunk.toString()));
  await once(response, "close");
  const { headers } = response;
  const code = String(headers["relay-error"]);
  const get = (name: string) => (headers[name] as string | undefined) ?? null;
  const error = errorFromProblem(code, body, { get });
  return Object.assign(error, { headers });
}

/** A client's end of a stream under `holdfast.stream.v1`, as far as tests need one. */
export class ClientStream {
  readonly end: StreamEnd;
  readonly open: OpenMessage;
  head: IncomingMessage;
  socket: WebSocket;
  readonly received: Buffer[] = [];
  /** Whether what comes is consumed at once. */
  reads = true;
  isEnded = false;
  /** What comes is lost. */
  deaf = false;
  /** Settles when the stream is over: with the error where it was reset. */
  readonly over: Promise<RelayError | undefined>;
  readonly #node: GrantedNode;
  readonly #ask: StreamAsk;
  #waiting: Buffer[] = [];
  #isFinishing = false;
  #unread = 0;

  private constructor(node: GrantedNode, ask: StreamAsk, { socket, head }: Upgraded, open: OpenMessage) {
    this.#node = node;
    this.#ask = ask;
    this.socket = socket;
    this.head = head;
    this.open = open;
    const { promise, resolve } = Promise.withResolvers<RelayError | undefined>();
    this.over = promise;
    this.end = new StreamEnd(open.window, {
      data: (chunk) => {
        this.received.push(Buffer.from(chunk));
        if (this.reads) this.end.consumed(chunk.length);
        else this.#unread += chunk.length;
      },
      fin: () => (this.isEnded = true),
      room: () => this.#pump(),
      reset: resolve,
      done: () => resolve(undefined),
    });
  }

  /** @throws RelayError as the node answered */
  static async open(node: GrantedNode, ask: StreamAsk): Promise<ClientStream> {
    const upgraded = await askStream(node, ask);
    const open = await readOpen(upgraded);
    const stream = new ClientStream(node, ask, upgraded, open);
    stream.#attach(upgraded, open.received);
    return stream;
  }

  write(bytes: Buffer | string): void {
    this.#waiting.push(Buffer.from(bytes));
    this.#pump();
  }

  finish(): void {
    this.#isFinishing = true;
    this.#pump();
  }

  /** Reads what was left lying, and goes on reading. */
  read(): void {
    this.reads = true;
    this.end.consumed(this.#unread);
    this.#unread = 0;
  }

  /** Loses the connection, with what is under way in either direction. */
  cut(): void {
    this.socket.terminate();
    this.end.detach();
  }

  get resumeClaim(): object {
    return { stream: this.open.stream, received: this.end.received, sent: this.end.sent };
  }

  /** Goes on over a new connection. The one before is left as it is. */
  async resume(claims: StreamAsk["claims"] = {}): Promise<void> {
    const upgraded = await askStream(this.#node, {
      ...this.#ask,
      claims: { ...this.#ask.claims, resume: this.resumeClaim, ...claims },
    });
    const open = await readOpen(upgraded);
    this.head = upgraded.head;
    this.#attach(upgraded, open.received);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }

  #attach({ socket, inbox }: Upgraded, received: number): void {
    this.socket = socket;
    this.end.attach({ send: (message) => socket.send(message) }, received);
    inbox.listen((message) => {
      if (this.socket === socket && !this.deaf) this.end.receive(message);
    });
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.end.room > 0) {
      const first = this.#waiting[0]!;
      const piece = first.subarray(0, this.end.room);
      if (piece.length === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(piece.length);
      this.end.send(piece);
    }
    if (this.#waiting.length === 0 && this.#isFinishing) this.end.finish();
  }
}

async function readOpen({ inbox }: Upgraded): Promise<OpenMessage> {
  const first = await inbox.next();
  const open = typeof first === "string" ? parseStreamMessage(first) : undefined;
  if (open?.type !== "open") throw new Error("the first message is not open");
  return open;
}
