import { RelayError } from "../../protocol/errors.ts";
import { HTTP_HEADER_MAX_BYTES } from "../../protocol/limits.ts";
import { type AnswerHead, notHttp, readAnswerHead } from "./answer-head.ts";
import { CHUNK_LINE_MAX_BYTES, STATUS_LINE_MAX_BYTES, TRAILERS_MAX_BYTES } from "./limits.ts";

/** Told of an answer as it comes. */
export interface AnswerEvents {
  onHead(head: AnswerHead): void;
  onBody(bytes: Buffer): void;
  /** Whether what has come is to wait, to the answer's end: asked behind each piece. */
  isPaused(): boolean;
  /** The answer is whole. */
  onEnd(): void;
}

/** What comes next: of chunked framing the line with a size, the bytes, the line break behind them, and what follows the last one. */
type Next = "head" | "body" | "size" | "chunk" | "chunk end" | "trailers" | "end" | "nothing";

/** RFC 9112 section 7.1: a size, and extensions that nobody reads. */
const SIZE_LINE = /^([0-9a-f]{1,12})(?:;[\t\x20-\x7e\x80-\xff]*)?$/i;
const TRAILER = /^[!#$%&'*+\-.^_`|~0-9A-Z]+:[\t\x20-\x7e\x80-\xff]*$/i;

const NOTHING = Buffer.alloc(0);
const LINE_BREAK = "\r\n";
const HEAD_END = "\r\n\r\n";

/** Reads the answers of one connection, one after the other, in whatever pieces they come. */
export class AnswerReader {
  readonly #events: AnswerEvents;
  #next: Next = "nothing";
  #method = "";
  /** Bytes until the body's, or the chunk's, end; Infinity where the connection's end is the body's. */
  #left = 0;
  /** A line, or a head, of which more must come; or what was to wait. */
  #held: Buffer | undefined;
  /** Where it stands, with room behind it: a head that comes byte by byte is not copied and searched for each of them. */
  #store = NOTHING;
  /** So many bytes of a head have been searched for its end. */
  #searched = 0;
  /** The first line of a head that is not whole was looked at. */
  #isJudged = false;

  constructor(events: AnswerEvents) {
    this.#events = events;
  }

  /** A request is about to be sent: its answer is what comes next. @param method its method */
  expect(method: string): void {
    this.#next = "head";
    this.#method = method;
    this.#held = undefined;
    this.#nextHead();
  }

  /** What a head stood in is let go of: a connection that rests, or streams, keeps nothing of it. */
  #nextHead(): void {
    this.#store = NOTHING;
    this.#searched = 0;
    this.#isJudged = false;
  }

  /** Whether an answer's end is waited for. */
  get isReading(): boolean {
    return this.#next !== "nothing";
  }

  /**
   * Takes what came; without a byte it goes on with what was to wait.
   * @returns how many bytes of it stand behind the answer's end
   * @throws RelayError `target_protocol`, `target_fields_too_large`: nothing more can be read of this connection
   */
  take(chunk: Buffer): number {
    let bytes = chunk;
    if (this.#held !== undefined) {
      bytes = chunk.length === 0 ? this.#held : this.#joined(this.#held, chunk);
      this.#held = undefined;
    }
    let at = 0;
    while (this.#next !== "nothing") {
      const isPaused = this.#events.isPaused();
      if (this.#next === "end" && !isPaused) {
        this.#next = "nothing";
        this.#events.onEnd();
        break;
      }
      const taken = isPaused || at === bytes.length ? 0 : this.#step(bytes, at);
      if (taken === 0) {
        if (at < bytes.length) this.#held = at === 0 ? bytes : bytes.subarray(at);
        return 0;
      }
      at += taken;
    }
    return bytes.length - at;
  }

  #joined(held: Buffer, chunk: Buffer): Buffer {
    const length = held.length + chunk.length;
    const isStored = held.buffer === this.#store.buffer && held.byteOffset === this.#store.byteOffset;
    if (!isStored || length > this.#store.length) {
      this.#store = Buffer.allocUnsafeSlow(2 * length);
      held.copy(this.#store);
    }
    chunk.copy(this.#store, held.length);
    return this.#store.subarray(0, length);
  }

  /** The connection has ended in good order. @returns whether that was the answer's end */
  end(): boolean {
    if (this.#next !== "body" || this.#left !== Infinity) return false;
    this.#next = "nothing";
    this.#events.onEnd();
    return true;
  }

  /** @returns how many bytes were read; 0 where more must come first */
  #step(bytes: Buffer, at: number): number {
    switch (this.#next) {
      case "head":
        return this.#head(bytes, at);
      case "body":
      case "chunk":
        return this.#body(bytes, at);
      case "size":
        return this.#size(bytes, at);
      case "chunk end":
        if (bytes.length - at < 2) return bytes[at] === 0x0d ? 0 : this.#badChunk();
        if (bytes[at] !== 0x0d || bytes[at + 1] !== 0x0a) this.#badChunk();
        this.#next = "size";
        return 2;
      case "trailers":
        return this.#trailer(bytes, at);
      case "end":
      case "nothing":
        return 0;
    }
  }

  #head(bytes: Buffer, at: number): number {
    // The end may have begun in what was searched before.
    const end = bytes.indexOf(HEAD_END, at + Math.max(0, this.#searched - 3), "latin1");
    if ((end === -1 ? bytes.length : end) - at > HTTP_HEADER_MAX_BYTES) {
      throw new RelayError(
        "target_fields_too_large",
        `the answer's head exceeds ${HTTP_HEADER_MAX_BYTES} bytes`,
      );
    }
    if (end === -1) {
      this.#searched = bytes.length - at;
      this.#judgeLine(bytes, at);
      return 0;
    }
    this.#nextHead();
    const head = readAnswerHead(bytes.toString("latin1", at, end + 2), this.#method);
    if (head.status === 101) throw notHttp("it switches protocols, which nobody asked for");
    // RFC 9110 section 15.2: an interim answer is passed over, also one that nobody asked for.
    if (head.status >= 200) this.#begin(head);
    return end + 4 - at;
  }

  /** What is no HTTP from its first line on is not waited for. */
  #judgeLine(bytes: Buffer, at: number): void {
    if (this.#isJudged) return;
    const line = bytes.indexOf(LINE_BREAK, at, "latin1");
    if ((line === -1 ? bytes.length : line) - at > STATUS_LINE_MAX_BYTES) {
      throw new RelayError(
        "target_fields_too_large",
        `the answer's status line exceeds ${STATUS_LINE_MAX_BYTES} bytes`,
      );
    }
    if (line === -1) return;
    readAnswerHead(bytes.toString("latin1", at, line + 2), this.#method);
    this.#isJudged = true;
  }

  #begin(head: AnswerHead): void {
    const { framing } = head;
    this.#next = framing === "chunked" ? "size" : "body";
    this.#left = typeof framing === "number" ? framing : framing === "until the end" ? Infinity : 0;
    this.#events.onHead(head);
    if (this.#next === "body" && this.#left === 0) this.#finish();
  }

  #body(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    this.#events.onBody(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
    if (this.#left === 0) {
      if (this.#next === "chunk") this.#next = "chunk end";
      else if (this.#next === "body") this.#finish();
    }
    return end - at;
  }

  #size(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LINE_BREAK, at, "latin1");
    if ((end === -1 ? bytes.length : end) - at > CHUNK_LINE_MAX_BYTES) this.#badChunk();
    if (end === -1) return 0;
    const [, digits] = SIZE_LINE.exec(bytes.toString("latin1", at, end)) ?? [];
    if (digits === undefined) return this.#badChunk();
    this.#left = Number.parseInt(digits, 16);
    this.#next = this.#left === 0 ? "trailers" : "chunk";
    // From here on it counts the bytes of all trailers.
    return end + 2 - at;
  }

  /** Trailers end here: fetch has no way to show them. */
  #trailer(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LINE_BREAK, at, "latin1");
    this.#left += end === -1 ? 0 : end + 2 - at;
    if (this.#left + (end === -1 ? bytes.length - at : 0) > TRAILERS_MAX_BYTES) {
      throw new RelayError("target_fields_too_large", `trailers exceed ${TRAILERS_MAX_BYTES} bytes`);
    }
    if (end === -1) return 0;
    if (end === at) this.#finish();
    else if (!TRAILER.test(bytes.toString("latin1", at, end))) throw notHttp("a trailer is no field");
    return end + 2 - at;
  }

  #badChunk(): never {
    throw notHttp("its chunks are none");
  }

  #finish(): void {
    this.#next = "end";
  }
}
