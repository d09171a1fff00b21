import { createHash } from "node:crypto";
import type { Field } from "../../protocol/headers.ts";

/** How a message's body ends. `close`: with its connection, which a response alone may do. */
export type WireFraming = "none" | "chunked" | "close" | number;

/** A message's head, character for byte as it came. */
export interface MessageHead {
  /** The request line or status line, without its line end. */
  readonly start: string;
  readonly fields: readonly Field[];
  /** All of it, the empty line included. */
  readonly text: string;
  readonly framing: WireFraming;
}

/** As much of a body is kept as it came; of the rest only count and hash. */
const KEPT_BYTES = 1_048_576;

/** A body that passed: counted and hashed, its beginning kept. */
export class BodyRecord {
  bytes = 0;
  /** The body ended as its framing says. */
  whole = false;
  /** The trailer section's lines. */
  trailers: readonly string[] = [];
  /** `performance.now()` of each piece. */
  readonly times: number[] = [];
  readonly #hash = createHash("sha256");
  readonly #kept: Buffer[] = [];

  add(chunk: Uint8Array): void {
    this.times.push(performance.now());
    if (this.bytes < KEPT_BYTES) this.#kept.push(Buffer.from(chunk));
    this.bytes += chunk.length;
    this.#hash.update(chunk);
  }

  /** The bytes, while there are few of them. */
  get content(): Buffer {
    if (this.bytes > KEPT_BYTES) throw new Error("the body was too long to be kept: compare its hash");
    return Buffer.concat(this.#kept);
  }

  get sha256(): string {
    return this.#hash.copy().digest("hex");
  }
}

/** What a reader tells of the messages on a connection. */
export interface MessageEvents {
  head(head: MessageHead): void;
  body(chunk: Buffer): void;
  /** The body is whole. */
  end(trailers: readonly string[]): void;
}

/**
 * Reads HTTP/1 messages one after another, and no more of them than where they end: it judges nothing, so that a test sees
 * what was sent and not what a parser makes of it.
 */
export class MessageReader {
  readonly #events: MessageEvents;
  readonly #isBodiless: (start: string) => boolean;
  readonly #default: WireFraming;
  #state: "head" | "length" | "close" | "size" | "chunk" | "chunk-end" | "trailer" = "head";
  #text = "";
  #left = 0;

  /**
   * @param kind requests have no body unless they say so, responses one up to the connection's end
   * @param isBodiless responses without a body whatever their fields say, by their status line
   */
  constructor(
    kind: "request" | "response",
    events: MessageEvents,
    isBodiless: (start: string) => boolean = () => false,
  ) {
    this.#events = events;
    this.#isBodiless = isBodiless;
    this.#default = kind === "request" ? "none" : "close";
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === "length" || this.#state === "chunk" || this.#state === "close") {
        const part = this.#state === "close" ? chunk.subarray(at) : chunk.subarray(at, at + this.#left);
        at += part.length;
        this.#left -= part.length;
        this.#events.body(part);
        if (this.#state === "length" && this.#left === 0) this.#end([]);
        else if (this.#state === "chunk" && this.#left === 0) this.#state = "chunk-end";
      } else {
        const end = chunk.indexOf(0x0a, at);
        const stop = end === -1 ? chunk.length : end + 1;
        this.#text += chunk.toString("latin1", at, stop);
        at = stop;
        if (end !== -1) this.#line();
      }
    }
  }

  /** The connection was ended in good order. */
  close(): void {
    if (this.#state === "close") this.#end([]);
  }

  #line(): void {
    if (this.#state === "size") {
      this.#left = Number.parseInt(this.#text, 16);
      this.#text = "";
      this.#state = this.#left === 0 ? "trailer" : "chunk";
    } else if (this.#state === "chunk-end") {
      this.#text = "";
      this.#state = "size";
    } else if (this.#state === "trailer") {
      const isLast = this.#text === "\r\n" || this.#text.endsWith("\r\n\r\n");
      if (isLast) this.#end(this.#text.split("\r\n").filter(Boolean));
    } else if (this.#text === "\r\n") {
      // RFC 9112 section 2.2: an empty line before a message is skipped.
      this.#text = "";
    } else if (this.#text.endsWith("\r\n\r\n")) {
      this.#head(this.#text);
    }
  }

  #head(text: string): void {
    const [start = "", ...lines] = text.slice(0, -4).split("\r\n");
    const fields = lines.map((line): Field => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    });
    const value = (name: string) => fields.findLast(([other]) => other.toLowerCase() === name)?.[1];
    const length = value("content-length");
    const framing = this.#isBodiless(start)
      ? "none"
      : value("transfer-encoding")?.toLowerCase().endsWith("chunked") === true
        ? "chunked"
        : length === undefined
          ? this.#default
          : Number(length);
    this.#text = "";
    this.#events.head({ start, fields, text, framing });
    if (framing === "none" || framing === 0) this.#end([]);
    else if (framing === "chunked") this.#state = "size";
    else if (framing === "close") this.#state = "close";
    else {
      this.#state = "length";
      this.#left = framing;
    }
  }

  #end(trailers: readonly string[]): void {
    this.#state = "head";
    this.#text = "";
    this.#events.end(trailers);
  }
}
