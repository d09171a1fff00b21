import type { Duplex } from "node:stream";
import { ByteQueue } from "../protocol/byte-queue.ts";
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
  readonly #queue = new ByteQueue();
  #isWriting = false;
  #isEnding = false;

  constructor(socket: Duplex, events: SocketWriterEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  /** Bytes that wait. */
  get size(): number {
    return this.#queue.size;
  }

  write(chunk: Uint8Array): void {
    this.#queue.push(chunk);
    this.goOn();
  }

  /** Forgets what waits: the stream is over. */
  drop(): void {
    this.#queue.clear();
  }

  /** Passes the end on, once all is written. */
  end(): void {
    this.#isEnding = true;
    this.goOn();
  }

  goOn(): void {
    const socket = this.#socket;
    if (this.#isWriting || socket.destroyed) return;
    if (this.#queue.size === 0) {
      if (this.#isEnding && !socket.writableEnded) socket.end();
      return;
    }
    if (this.#events.mustRest()) return;
    const chunks = this.#queue.take(STREAM_TURN_BYTES);
    const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
    this.#isWriting = true;
    socket.cork();
    chunks.forEach((chunk, index) => {
      socket.write(chunk, index === chunks.length - 1 ? (error) => this.#onWritten(bytes, error) : undefined);
    });
    socket.uncork();
  }

  #onWritten(bytes: number, error: Error | null | undefined): void {
    // A failure is the socket's to tell.
    if (error !== undefined && error !== null) return;
    this.#isWriting = false;
    // The end first: whoever hears that all was written may take it for passed on.
    if (this.#queue.size === 0) this.goOn();
    this.#events.written(bytes);
    this.goOn();
  }
}
