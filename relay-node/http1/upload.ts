import type { Socket } from "node:net";
import { RelayError } from "../../protocol/errors.ts";
import type { RequestBody } from "../request-body.ts";

/** A body on its way to the target, as fast as that takes it. Its head leaves with its first byte: one that fails before has not left. */
export class Upload {
  readonly #socket: Socket;
  readonly #body: RequestBody;
  readonly #isChunked: boolean;
  #head: string | undefined;
  readonly #begin: () => boolean;
  #onEnd: ((error?: Error) => void) | undefined;

  /** @param begin told before the head leaves; says whether it may */
  constructor(
    socket: Socket,
    body: RequestBody,
    head: string,
    isChunked: boolean,
    begin: () => boolean,
    onEnd: (error?: Error) => void,
  ) {
    this.#socket = socket;
    this.#body = body;
    this.#head = head;
    this.#begin = begin;
    this.#isChunked = isChunked;
    this.#onEnd = onEnd;
    body
      .on("data", (chunk: Buffer) => this.#write(chunk))
      .on("end", () => this.#end())
      .on("error", (error: Error) => this.#stopped(error))
      .on("close", () => this.#stopped(new RelayError("body_cut", "the body was given up")));
  }

  /** Its head has left. */
  get hasBegun(): boolean {
    return this.#head === undefined;
  }

  goOn(): void {
    if (this.#onEnd !== undefined) this.#body.resume();
  }

  stop(): void {
    this.#onEnd = undefined;
  }

  #write(chunk: Buffer): void {
    if (this.#onEnd === undefined) return;
    const socket = this.#socket;
    socket.cork();
    if (!this.#writeHead()) {
      socket.uncork();
      return;
    }
    if (this.#isChunked) socket.write(`${chunk.length.toString(16)}\r\n`, "latin1");
    let hasRoom = socket.write(chunk);
    if (this.#isChunked) hasRoom = socket.write("\r\n", "latin1");
    socket.uncork();
    if (!hasRoom) this.#body.pause();
  }

  #writeHead(): boolean {
    const head = this.#head;
    if (head === undefined) return true;
    this.#head = undefined;
    if (!this.#begin()) return false;
    this.#socket.write(head, "latin1");
    return true;
  }

  #end(): void {
    if (this.#onEnd === undefined) return;
    this.#socket.cork();
    const isBegun = this.#writeHead();
    if (isBegun && this.#isChunked) this.#socket.write("0\r\n\r\n", "latin1");
    this.#socket.uncork();
    if (isBegun) this.#stopped();
  }

  #stopped(error?: Error): void {
    const onEnd = this.#onEnd;
    this.#onEnd = undefined;
    onEnd?.(error);
  }
}
