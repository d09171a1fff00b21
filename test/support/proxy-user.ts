import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { BodyRecord, type MessageHead, MessageReader } from "./http-message.ts";

/** One answer, from its head on. */
export interface UserAnswer {
  readonly head: MessageHead;
  readonly status: number;
  readonly body: BodyRecord;
  /** Resolves when the body ended by its framing or broke off; `body.whole` tells which. */
  readonly ended: Promise<void>;
  /** The values of a field, joined by a comma; undefined where there is none. */
  field(name: string): string | undefined;
}

/** A connection of somebody who uses an HTTP proxy: what is written goes out byte for byte, and answers come in order. */
export class UserConnection {
  /** The heads of interim answers. */
  readonly interim: MessageHead[] = [];
  /** Resolves when the connection is gone, with what broke it where something did. */
  readonly closed: Promise<Error | undefined>;
  readonly socket: Socket;
  readonly #methods: string[] = [];
  readonly #answers: UserAnswer[] = [];
  readonly #waiting: {
    readonly resolve: (answer: UserAnswer) => void;
    readonly reject: (error: Error) => void;
  }[] = [];
  #current: { readonly body: BodyRecord; readonly done: () => void } | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    const reader = new MessageReader(
      "response",
      {
        head: (head) => this.#head(head),
        body: (chunk) => this.#current?.body.add(chunk),
        end: (trailers) => {
          if (this.#current === undefined) return;
          this.#current.body.whole = true;
          this.#current.body.trailers = trailers;
          this.#current.done();
        },
      },
      (start) => /^\S+ (1..|204|304)/.test(start) || this.#methods[0] === "HEAD",
    );
    socket.on("data", (chunk: Buffer) => reader.push(chunk));
    let failure: Error | undefined;
    socket.on("error", (error) => (failure = error));
    socket.on("end", () => reader.close());
    this.closed = new Promise((resolve) =>
      socket.on("close", () => {
        this.#current?.done();
        for (const { reject } of this.#waiting) {
          reject(new Error("closed without an answer", { cause: failure }));
        }
        resolve(failure);
      }),
    );
  }

  static async open(port: number): Promise<UserConnection> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    return new UserConnection(socket);
  }

  /** Writes a request's head, line by line, or with `body` all of it. */
  ask(line: string, fields: readonly string[] = [], body: string | Buffer = ""): void {
    this.#methods.push(line.split(" ")[0]!);
    this.write(`${[/ HTTP\/1\.\d$/.test(line) ? line : `${line} HTTP/1.1`, ...fields].join("\r\n")}\r\n\r\n`);
    this.write(body);
  }

  /** Text is written as Latin-1. */
  write(part: string | Buffer): void {
    if (part.length > 0) this.socket.write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
  }

  /** The next final answer. */
  async answer(): Promise<UserAnswer> {
    const ready = this.#answers.shift();
    if (ready !== undefined) return ready;
    if (this.socket.destroyed) throw new Error("closed without an answer");
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** The next final answer, its body with it. */
  async whole(): Promise<UserAnswer & { readonly text: string }> {
    const answer = await this.answer();
    await answer.ended;
    return { ...answer, text: answer.body.content.toString("latin1") };
  }

  close(): void {
    this.socket.destroy();
  }

  #head(head: MessageHead): void {
    const status = Number(head.start.split(" ")[1]);
    if (status < 200) {
      this.#current = undefined;
      this.interim.push(head);
      return;
    }
    this.#methods.shift();
    const body = new BodyRecord();
    const { promise: ended, resolve: done } = Promise.withResolvers<void>();
    this.#current = { body, done };
    const field = (name: string) => {
      const values = head.fields.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value);
      return values.length === 0 ? undefined : values.join(", ");
    };
    const answer = { head, status, body, ended, field };
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#answers.push(answer);
    else waiting.resolve(answer);
  }
}
