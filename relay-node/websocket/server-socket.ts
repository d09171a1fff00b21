import { createHash } from "node:crypto";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { borrow } from "../splice/borrowed-reads.ts";
import { takeHeld } from "../splice/held.ts";
import type { Lender } from "../splice/lender.ts";
import { SPLICE_SHARED_BYTES } from "../splice/limits.ts";
import { FrameError } from "./frame-error.ts";
import { FrameReader } from "./frame-reader.ts";
import { FRAME_COPIED_BYTES } from "./limits.ts";

/** What a WebSocket tells. Bytes are to be copied where they are to stay. */
export interface SocketEvents {
  /**
   * A piece of a binary message.
   * @param isLast whether its frame ends with it
   */
  bytes(piece: Buffer, isLast: boolean): void;
  /** A text message. */
  text(message: Buffer): void;
  /** A ping or a pong came. */
  sign(): void;
  /** The other end broke the rules; it is being closed. */
  broken(error: FrameError): void;
  /**
   * It is over, and nothing more is told.
   * @param code as the other end closed; 1006 where the connection broke
   */
  closed(code: number): void;
}

/** How much it takes, and how long it waits. */
export interface SocketBounds {
  /** Bytes of a message. */
  readonly maxMessage: number;
  /** Once it is being closed, the other end has so long. */
  readonly closeMs: number;
}

/** Nothing stands in it once a read was told of. */
const SHARED = Buffer.allocUnsafeSlow(SPLICE_SHARED_BYTES);

/** RFC 6455 section 1.3. */
const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The lines of the answer that makes a connection a WebSocket. @param key the request's Sec-WebSocket-Key */
export function switchingLines(key: string, protocol: string | undefined): string[] {
  const accept = createHash("sha1").update(`${key}${MAGIC}`).digest("base64");
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
  ];
}

/**
 * The server's end of a WebSocket over a connection that has been upgraded (RFC 6455), without extensions. Beside what a library does it hands binary
 * messages on as they come, without gathering them.
 */
export class ServerSocket {
  readonly #wire: Duplex;
  readonly #bounds: SocketBounds;
  readonly #events: SocketEvents;
  readonly #reader: FrameReader;
  /** What came before it was lent a buffer, and was not told of yet. */
  #first: Buffer | undefined;
  #isReading = true;
  #closeCode = 1_006;
  #hasSentClose = false;
  #hasHeardClose = false;
  #isClosed = false;
  #closing: NodeJS.Timeout | undefined;
  /** A pong has yet to leave. */
  #isPonging = false;
  /** What the last ping behind it carried. */
  #nextPong: Buffer | undefined;

  /**
   * @param wire behind its handshake; nobody else listens to what it reads
   * @param head what came behind the handshake already
   */
  constructor(wire: Duplex, head: Buffer, bounds: SocketBounds, events: SocketEvents) {
    this.#wire = wire;
    this.#bounds = bounds;
    this.#events = events;
    this.#reader = new FrameReader(bounds.maxMessage, {
      bytes: (piece, isLast) => events.bytes(piece, isLast),
      text: (message) => events.text(message),
      ping: (payload) => this.#onPing(payload),
      pong: () => events.sign(),
      close: (code) => this.#onCloseFrame(code),
    });
    wire.on("end", this.#onEnd).on("error", this.#onError).on("close", this.#onClose);
    // A server's wait for the next request is none of ours.
    if (wire instanceof Socket) wire.setTimeout(0);
    this.#read(head);
  }

  /** Bytes that have yet to leave. */
  get bufferedAmount(): number {
    return this.#wire.writableLength;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether it does not read. */
  get isPaused(): boolean {
    return this.#wire.isPaused();
  }

  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  /**
   * Sends a message: bytes as a binary one, which must not be changed before they have left, a text as one of text.
   * @param onLeft called once it has left; never where the connection breaks before
   * @param hasRoom in front of the bytes, in their buffer, stand `FRAME_ROOM_BYTES` that are overwritten
   */
  send(message: Uint8Array | string, onLeft?: () => void, hasRoom = false): void {
    if (this.#hasSentClose) return;
    if (typeof message === "string") this.#frame(1, Buffer.from(message), onLeft);
    else this.#frame(2, message, onLeft, hasRoom);
  }

  ping(): void {
    if (!this.#hasSentClose) this.#frame(9, Buffer.alloc(0));
  }

  /** Closes it behind what was sent. @param reason at most 123 bytes */
  close(code: number, reason = ""): void {
    if (!this.#isClosed) this.#sendClose(code, reason);
  }

  /** Ends it at once. */
  terminate(): void {
    this.#wire.destroy();
  }

  #sendClose(code: number | undefined, reason = ""): void {
    if (!this.#hasSentClose) {
      const words = Buffer.from(reason);
      const payload = Buffer.alloc(code === undefined ? 0 : 2 + words.length);
      if (code !== undefined) {
        payload.writeUInt16BE(code);
        words.copy(payload, 2);
      }
      this.#frame(8, payload);
      this.#hasSentClose = true;
    }
    this.#beginClosing();
    if (this.#hasHeardClose) this.#wire.end();
  }

  /** Nobody's end is waited for without end: whoever reads nothing would never see ours. */
  #beginClosing(): void {
    this.#closing ??= setTimeout(() => this.#wire.destroy(), this.#bounds.closeMs);
  }

  #frame(opcode: number, payload: Uint8Array, onLeft?: () => void, hasRoom = false): void {
    const wire = this.#wire;
    const onWritten =
      onLeft &&
      ((error?: Error | null) => {
        if (error === undefined || error === null) onLeft();
      });
    if (!wire.writable) return;
    const { length } = payload;
    const headLength = length < 126 ? 2 : length < 65_536 ? 4 : 10;
    const isCopied = length <= FRAME_COPIED_BYTES;
    // One piece goes out as it stands; of several, TLS makes a copy first.
    const frame = hasRoom
      ? Buffer.from(payload.buffer, payload.byteOffset - headLength, headLength + length)
      : Buffer.allocUnsafe(headLength + (isCopied ? length : 0));
    frame[0] = 0x80 | opcode;
    if (headLength === 2) frame[1] = length;
    else if (headLength === 4) {
      frame[1] = 126;
      frame.writeUInt16BE(length, 2);
    } else {
      frame[1] = 127;
      frame.writeUInt16BE(0, 2);
      frame.writeUIntBE(length, 4, 6);
    }
    if (hasRoom || isCopied) {
      if (!hasRoom) frame.set(payload, headLength);
      wire.write(frame, onWritten);
      return;
    }
    wire.cork();
    wire.write(frame);
    wire.write(payload, onWritten);
    wire.uncork();
  }

  #read(head: Buffer): void {
    const wire = this.#wire;
    wire.pause();
    if (borrow(wire, this.#lender)) {
      this.#first = takeHeld(wire, head);
      // Whoever makes it has to have it before it is told of anything.
      process.nextTick(() => this.#readFirst());
    } else {
      wire.on("data", this.#onData);
      if (head.length > 0) wire.unshift(head);
    }
    wire.resume();
  }

  /** What comes of TLS while it is paused is told all the same: no more than one read of the system's. */
  readonly #lender: Lender = {
    takesAll: true,
    buffer: () => SHARED,
    took: (bytes) => {
      this.#readFirst();
      this.#onData(SHARED.subarray(0, bytes));
      return !this.#wire.isPaused();
    },
  };

  #readFirst(): void {
    const first = this.#first;
    this.#first = undefined;
    if (first !== undefined && first.length > 0) this.#onData(first);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#isReading) return;
    try {
      this.#reader.read(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#stopReading();
      this.#hasHeardClose = true;
      this.#sendClose(error.code);
      this.#events.broken(error);
    }
  };

  #onPing(payload: Buffer): void {
    this.#events.sign();
    // Whoever asks and reads no answer would have them pile up: the last ping alone need be answered (RFC 6455 section 5.5.3).
    if (this.#isPonging) this.#nextPong = Buffer.from(payload);
    else this.#pong(payload);
  }

  #pong(payload: Buffer): void {
    if (this.#hasSentClose) return;
    this.#isPonging = true;
    this.#frame(10, payload, this.#onPongLeft);
  }

  readonly #onPongLeft = (): void => {
    this.#isPonging = false;
    const next = this.#nextPong;
    this.#nextPong = undefined;
    if (next !== undefined) this.#pong(next);
  };

  #onCloseFrame(code: number): void {
    this.#closeCode = code;
    this.#hasHeardClose = true;
    this.#stopReading();
    this.#sendClose(code === 1_005 ? undefined : code);
  }

  /** What comes is dropped, up to the connection's end. */
  #stopReading(): void {
    this.#isReading = false;
    this.#wire.resume();
  }

  /** Without a close before it, the connection broke. */
  readonly #onEnd = (): void => {
    this.#hasSentClose = true;
    this.#beginClosing();
    this.#wire.end();
  };

  readonly #onError = (): void => {
    this.#wire.destroy();
  };

  readonly #onClose = (): void => {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#closing);
    this.#events.closed(this.#closeCode);
  };
}
