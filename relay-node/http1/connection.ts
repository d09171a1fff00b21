import type { Socket } from "node:net";
import type { Framing } from "../../protocol/claims.ts";
import { RelayError } from "../../protocol/errors.ts";
import { BODY_IDLE_MS, IDLE_CONNECTION_MS } from "../limits.ts";
import type { RequestBody } from "../request-body.ts";
import { borrow } from "../splice/borrowed-reads.ts";
import { SPLICE_SHARED_BYTES } from "../splice/limits.ts";
import type { AnswerHead } from "./answer-head.ts";
import { AnswerReader } from "./answer-reader.ts";
import { outliveWrites, readBesideStream } from "./after-reset.ts";
import { KEPT_MARGIN_MS } from "./limits.ts";
import { requestHead, type TargetRequest } from "./request-head.ts";
import { Upload } from "./upload.ts";

/** What steers an exchange that is under way. */
export interface ExchangeControl {
  /** Ends it, and its connection: the handler is given this error. */
  abort(error: Error): void;
  pause(): void;
  resume(): void;
}

/** Told of one exchange. */
export interface Http1Handler {
  /** The request is about to be written. */
  onRequestStart(control: ExchangeControl): void;
  /** The last byte of the request was written. */
  onRequestSent(): void;
  onAnswer(head: AnswerHead): void;
  onResponseData(control: ExchangeControl, chunk: Buffer): void;
  onResponseEnd(): void;
  onResponseError(control: ExchangeControl | undefined, error: Error): void;
}

/** A request, and how it travels. */
export interface Http1Request extends TargetRequest {
  readonly framing: Framing;
  readonly body: Buffer | RequestBody | null;
}

const NOTHING = Buffer.alloc(0);

/** Nothing stands in it once a read was told of. */
const SHARED = Buffer.allocUnsafeSlow(SPLICE_SHARED_BYTES);

/**
 * A connection to a target that speaks HTTP/1.1: one request after the other, each answered before the next is written.
 *
 * Node's own client and undici do the same for any server and any caller. A relay's fields are judged already, their bytes have to
 * stay as they are, and its framing is the signed one; what is left is little, and each part of it is paid by each request.
 */
export class Http1Connection implements ExchangeControl {
  readonly #socket: Socket;
  readonly #onLost: () => void;
  readonly #reader: AnswerReader;
  #handler: Http1Handler | undefined;
  #upload: Upload | undefined;
  /** The request was handed to the socket to its end. */
  #isSent = true;
  /** Its first answer has ended, or it rested before: bytes may have come since that nobody has seen. */
  #hasServed: boolean;
  #isKept = true;
  #isLost = false;
  #isPaused = false;
  #isSpoiled = false;
  /** How the connection ended while what had come of an answer was to wait. */
  #ending: { readonly error: RelayError; readonly isEnd: boolean } | undefined;
  /** What the server says of how long it keeps a connection, or what is usual. */
  #idleMs = IDLE_CONNECTION_MS;
  #timer: NodeJS.Timeout | undefined;
  #checking: NodeJS.Immediate | undefined;
  /** Why a write failed, while what had come before is still being read. */
  #resetBy: RelayError | undefined;
  #hasRead = false;
  /** The request under way has a body. */
  #hasBody = false;
  /** What it reads doesn't go by its stream. */
  #isBorrowed = false;

  /**
   * @param socket connected; it is read from now on
   * @param onLost called once it can serve no more
   * @param isIdle it will rest before its first request, which sees what came meanwhile then as any other
   */
  constructor(socket: Socket, onLost: () => void, isIdle = false) {
    this.#socket = socket;
    this.#onLost = onLost;
    this.#hasServed = isIdle;
    this.#reader = new AnswerReader({
      onHead: (head) => this.#onHead(head),
      onBody: (bytes) => this.#handler?.onResponseData(this, bytes),
      isPaused: () => this.#isPaused || this.#isLost,
      onEnd: () => this.#onEnd(),
    });
    this.#read();
    outliveWrites(socket, (error) => this.#onWriteFailed(failureOf(error)));
    socket
      .on("end", () => this.#onFin())
      .on("error", (error) => this.#onLoss(failureOf(error)))
      .on("close", () => this.#onLoss(closed()))
      .on("drain", () => this.#upload?.goOn());
    this.#rest();
    if (socket.destroyed) this.#lose(closed());
  }

  /** An exchange on it failed, or bytes came that nobody asked for: no reason to make another one ahead. */
  get isSpoiled(): boolean {
    return this.#isSpoiled;
  }

  /** Reads all that comes; where it may, into a buffer that all share, out of which little is copied: 64 kB are not made for each read. */
  #read(): void {
    const socket = this.#socket;
    socket.pause();
    const lender = {
      // What comes while it is to wait is kept behind what waits.
      takesAll: true,
      buffer: () => SHARED,
      took: (bytes: number) => {
        this.#onData(Buffer.from(SHARED.subarray(0, bytes)));
        return !this.#isPaused && !this.#isLost;
      },
    };
    this.#isBorrowed = borrow(socket, lender);
    if (!this.#isBorrowed) socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    // What the stream holds came before: nothing was asked yet.
    if (socket.readableLength > 0) socket.destroy();
    socket.resume();
  }

  /** Whether a request may be sent. */
  get isConnected(): boolean {
    return !this.#isLost;
  }

  /**
   * Sends a request; there is none under way.
   *
   * What came on an idle connection is no answer to this, and is seen before anything is written: unless the caller knows that
   * all that had come by now was read, it waits for the end of this turn of the event loop.
   *
   * @param isRead nothing was waited for since this turn's reads were done
   */
  send(request: Http1Request, handler: Http1Handler, isRead: boolean): void {
    this.#handler = handler;
    if (this.#isLost) {
      this.#fail(new RelayError("connect_failed", "the connection was closed"));
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (isRead || !this.#hasServed) this.#write(request, handler);
    else {
      this.#checking = setImmediate(() => {
        this.#checking = undefined;
        this.#write(request, handler);
      });
    }
  }

  /** Nobody waits for the answer any more: what is not written yet is not written. */
  forgo(): void {
    if (this.#isLost || (this.#checking === undefined && this.#upload?.hasBegun !== false)) return;
    clearImmediate(this.#checking);
    this.#checking = undefined;
    this.#endUpload();
    this.#isSent = true;
    this.#handler = undefined;
    this.#rest();
  }

  abort(error: Error): void {
    this.#lose(error);
  }

  pause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#reader.isReading) this.#onData(NOTHING);
    if (this.#isPaused || this.#isLost) return;
    const ending = this.#ending;
    if (ending === undefined) this.#readOn();
    else if (!ending.isEnd || !this.#reader.end()) this.#lose(ending.error);
  }

  /** Cuts it, with whatever is under way. */
  destroy(): void {
    this.#lose(new RelayError("target_closed", "the connection was cut"));
  }

  #write(request: Http1Request, handler: Http1Handler): void {
    const { body, framing, method } = request;
    this.#hasBody = body !== null;
    let head: string;
    try {
      head = requestHead(request, framing);
    } catch (error) {
      this.#lose(error as Error);
      return;
    }
    const begin = () => {
      handler.onRequestStart(this);
      // Whoever was told may have ended it.
      if (this.#handler !== handler) return false;
      this.#reader.expect(method);
      return true;
    };
    const socket = this.#socket;
    if (body === null || Buffer.isBuffer(body)) {
      if (!begin()) return;
      if (body === null) socket.write(framing === "chunked" ? `${head}0\r\n\r\n` : head, "latin1");
      else {
        socket.cork();
        socket.write(head, "latin1");
        socket.write(framing === "chunked" ? chunked(body) : body);
        socket.uncork();
      }
      this.#isSent = true;
      handler.onRequestSent();
      return;
    }
    this.#isSent = false;
    this.#upload = new Upload(socket, body, head, framing === "chunked", begin, (error) => {
      this.#upload = undefined;
      if (this.#handler !== handler) return;
      if (error !== undefined) this.#lose(error);
      else {
        this.#isSent = true;
        handler.onRequestSent();
      }
    });
    this.#upload.goOn();
  }

  #readOn(): void {
    this.#socket.resume();
    if (this.#resetBy !== undefined) this.#readRest(this.#resetBy);
  }

  /** The target has reset the connection: it may have answered first, which stands in the system still, and nothing more can come. */
  #onWriteFailed(error: RelayError): void {
    if (this.#isLost || this.#resetBy !== undefined) return;
    if (!this.#hasBody || !this.#reader.isReading) {
      // No answer is under way, or a head alone was to leave, in one write: nothing of it has been seen, and what may have come is
      // no answer to it.
      this.#lose(error);
      return;
    }
    this.#resetBy = error;
    this.#isKept = false;
    this.#endUpload();
    if (!this.#isBorrowed) readBesideStream(this.#socket, (bytes) => this.#onData(bytes));
    if (!this.#isPaused) this.#readRest(error);
  }

  /** Whoever holds the answer back has it read on by `resume`. */
  #readRest(error: RelayError): void {
    this.#hasRead = false;
    // Of two ends of turns, there is a whole turn's reading between.
    setImmediate(() =>
      setImmediate(() => {
        if (this.#isLost || this.#isPaused) return;
        if (this.#hasRead) this.#readRest(error);
        else this.#lose(error);
      }),
    );
  }

  #onData(chunk: Buffer): void {
    if (this.#isLost) return;
    this.#hasRead = true;
    if (!this.#reader.isReading) {
      // Nobody asked for it: what is sent next would seem to be answered by it.
      this.#isSpoiled = true;
      this.#lose(new RelayError("connect_failed", "the connection had bytes that nobody asked for"));
      return;
    }
    let behind: number;
    try {
      behind = this.#reader.take(chunk);
    } catch (error) {
      this.#lose(error as Error);
      return;
    }
    if (behind > 0) this.#drop();
    else if (this.#reader.isReading && !this.#isPaused) this.#wait();
  }

  /** An answer's body may stand still so long; of its head the exchange has a deadline of its own. */
  #wait(): void {
    if (this.#timer !== undefined) this.#timer.refresh();
    else {
      this.#timer = setTimeout(() => {
        this.#lose(
          new RelayError("target_timeout", `no byte of the answer came for ${BODY_IDLE_MS / 1_000} s`),
        );
      }, BODY_IDLE_MS);
    }
  }

  #onHead(head: AnswerHead): void {
    const { status, isKept, keptSeconds } = head;
    const ms = keptSeconds === undefined ? IDLE_CONNECTION_MS : keptSeconds * 1_000 - KEPT_MARGIN_MS;
    this.#idleMs = Math.min(ms, 2 * IDLE_CONNECTION_MS);
    this.#isKept = isKept && this.#idleMs > 0;
    // RFC 9112 section 9.5: it wants no more of the body, and will not read what is sent all the same.
    if (!this.#isKept && status >= 400) this.#endUpload();
    this.#handler?.onAnswer(head);
  }

  #onEnd(): void {
    const handler = this.#handler;
    if (handler === undefined) return;
    this.#handler = undefined;
    this.#hasServed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // Whatever is still to be sent of its request would be read as the next one.
    if (!this.#isSent || !this.#isKept) this.#drop();
    else this.#rest();
    handler.onResponseEnd();
  }

  #onFin(): void {
    if (this.#isLost) return;
    this.#isKept = false;
    if (this.#mustWait) this.#ending ??= { error: closed(), isEnd: true };
    else if (!this.#reader.end()) this.#lose(closed());
  }

  /** What has come of an answer is read first, by whoever lets it go on: it may be all. */
  #onLoss(error: RelayError): void {
    if (this.#isLost) return;
    this.#isKept = false;
    if (!this.#mustWait) this.#lose(error);
    else {
      this.#ending ??= { error, isEnd: false };
      this.#endUpload();
    }
  }

  #endUpload(): void {
    this.#upload?.stop();
    this.#upload = undefined;
  }

  get #mustWait(): boolean {
    return this.#isPaused && this.#reader.isReading;
  }

  /** Nothing is under way: it is closed when nobody uses it. */
  #rest(): void {
    this.#timer = setTimeout(() => this.#drop(), this.#idleMs).unref();
  }

  /** It serves no more; what ended on it has ended well. */
  #drop(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#checking);
    this.#checking = undefined;
    this.#endUpload();
    this.#socket.destroy();
    this.#onLost();
  }

  #lose(error: Error): void {
    this.#isSpoiled ||= this.#handler !== undefined;
    this.#drop();
    this.#fail(error);
  }

  #fail(error: Error): void {
    const handler = this.#handler;
    this.#handler = undefined;
    if (handler === undefined) return;
    handler.onResponseError(this, error);
  }
}

function closed(): RelayError {
  return new RelayError("target_closed", "the target closed the connection");
}

function failureOf(error: NodeJS.ErrnoException): RelayError {
  return new RelayError("target_closed", `the connection failed (${error.code ?? error.name})`, {
    cause: error,
  });
}

function chunked(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`, "latin1"), bytes, LAST_CHUNK]);
}

const LAST_CHUNK = Buffer.from("\r\n0\r\n\r\n", "latin1");
