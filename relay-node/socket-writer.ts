import type { Duplex } from "node:stream";
import { type Blocks, ByteQueue } from "../protocol/byte-queue.ts";
import { STREAM_TURN_BYTES } from "./limits.ts";

/** What a writer asks and tells its owner. */
export interface SocketWriterEvents {
  /** Whether bytes must wait for the client's share; `goOn` is called when they need not any more. */
  mustRest(): boolean;
  /** So many bytes were handed to the system. */
  written(bytes: number): void;
}

/**
 * Writes a stream's bytes to a socket, a turn at a time, and tells when each has left. What waits costs about twice its
 * bytes, in however small messages it came.
 */
export class SocketWriter {
  readonly #socket: Duplex;
  readonly #events: SocketWriterEvents;
  readonly #queue: ByteQueue;
  /** Bytes of the write that is under way, the first of the queue; undefined where there is none. */
  #writing: number | undefined;
  #isHeld = false;
  #isEnding = false;

  /** @param blocks where all is copied into; without them what is written must not be changed afterwards */
  constructor(socket: Duplex, events: SocketWriterEvents, blocks?: Blocks) {
    this.#socket = socket;
    this.#events = events;
    this.#queue = new ByteQueue(blocks);
  }

  /** Bytes that wait. */
  get size(): number {
    return this.#queue.size - (this.#writing ?? 0);
  }

  /** @param isMore whether more is about to come: it may wait for that, until this turn of the loop is over */
  write(chunk: Uint8Array, isMore = false): void {
    this.#queue.push(chunk);
    if (!isMore || this.size >= STREAM_TURN_BYTES) this.goOn();
    else if (!this.#isHeld) {
      this.#isHeld = true;
      setImmediate(this.#letGo);
    }
  }

  /** Forgets what waits: the stream is over. */
  drop(): void {
    this.#writing = undefined;
    this.#queue.clear();
  }

  /** Passes the end on, once all is written. */
  end(): void {
    this.#isEnding = true;
    this.goOn();
  }

  goOn(): void {
    const socket = this.#socket;
    if (this.#writing !== undefined || socket.destroyed) return;
    if (this.#queue.size === 0) {
      if (this.#isEnding && !socket.writableEnded) socket.end();
      return;
    }
    if (this.#events.mustRest()) return;
    const chunks = this.#queue.peek(STREAM_TURN_BYTES);
    this.#writing = chunks.reduce((sum, { length }) => sum + length, 0);
    if (chunks.length === 1) {
      socket.write(chunks[0], this.#onWritten);
      return;
    }
    socket.cork();
    chunks.forEach((chunk, index) => {
      socket.write(chunk, index === chunks.length - 1 ? this.#onWritten : undefined);
    });
    socket.uncork();
  }

  readonly #letGo = (): void => {
    this.#isHeld = false;
    this.goOn();
  };

  readonly #onWritten = (error?: Error | null): void => {
    const bytes = this.#writing;
    // A failure is the socket's to tell; and what was dropped needs no word.
    if (bytes === undefined || (error !== undefined && error !== null)) return;
    this.#writing = undefined;
    this.#queue.drop(bytes);
    // The end first: whoever hears that all was written may take it for passed on.
    if (this.#queue.size === 0) this.goOn();
    this.#events.written(bytes);
    this.goOn();
  };
}
