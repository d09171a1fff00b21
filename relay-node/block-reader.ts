import type { Duplex } from "node:stream";
import type { Blocks } from "../protocol/byte-queue.ts";
import { STREAM_SMALL_READS, STREAM_TURN_BYTES } from "./limits.ts";
import type { SocketReaderEvents } from "./socket-reader.ts";
import { borrow, rebind } from "./splice/borrowed-reads.ts";
import { takeHeld } from "./splice/held.ts";
import type { Lender } from "./splice/lender.ts";
import { FRAME_ROOM_BYTES } from "./websocket/limits.ts";

/** What such a reader tells besides. */
export interface BlockReaderEvents extends SocketReaderEvents {
  /** Bytes that stand in a block, which is the owner's from now on. */
  block(block: Uint8Array, begin: number, end: number): void;
}

/** What reads a stream's target. */
export interface TargetReader {
  /** Reads, where it had to rest. */
  goOn(): void;
  /** Looks at the clock. */
  tick(): void;
}

/** All sources that say little read into this one; nothing stands in it once a read was told of. */
const SHARED = Buffer.allocUnsafeSlow(STREAM_TURN_BYTES);

const NOTHING = Buffer.alloc(0);

/** A read of less than this part of a block is copied out of it. */
const SMALL_PART = 4;

/**
 * Reads a socket into the blocks that a stream keeps its bytes in until they are acknowledged: they are not copied, and stand behind room for a
 * frame's head. A source that says little reads into a buffer that it shares with all others, and is copied.
 */
export class BlockReader implements Lender, TargetReader {
  readonly #socket: Duplex;
  readonly #events: BlockReaderEvents;
  readonly #blocks: Blocks;
  #own: Uint8Array | undefined;
  /** Where the next read goes; never more than there is room for. */
  #buffer: Buffer = SHARED;
  /** What it had read before. */
  #first: Buffer | undefined;
  #smallReads = 0;
  #hasMoved = false;

  private constructor(socket: Duplex, events: BlockReaderEvents, blocks: Blocks) {
    this.#socket = socket;
    this.#events = events;
    this.#blocks = blocks;
  }

  /** @returns undefined where the socket can't be lent buffers */
  static on(socket: Duplex, events: BlockReaderEvents, blocks: Blocks): BlockReader | undefined {
    if (socket.readableEnded) return undefined;
    const reader = new BlockReader(socket, events, blocks);
    if (!borrow(socket, reader)) return undefined;
    socket.once("end", () => {
      reader.#giveBack();
      events.end();
    });
    socket.once("close", () => reader.#giveBack());
    // The system's reads rest, too, until it goes on.
    socket.pause();
    const held = takeHeld(socket, NOTHING);
    if (held.length > 0) reader.#first = held;
    return reader;
  }

  buffer(): Buffer {
    return this.#buffer;
  }

  took(bytes: number): boolean {
    const own = this.#own;
    const wasFull = bytes === STREAM_TURN_BYTES;
    this.#hasMoved = true;
    if (own === undefined) {
      this.#events.data(this.#buffer.subarray(0, bytes));
      if (wasFull && !this.#socket.destroyed) this.#own = this.#blocks.take(STREAM_TURN_BYTES);
    } else if (bytes >= own.length / SMALL_PART) {
      this.#smallReads = 0;
      this.#own = this.#blocks.take(STREAM_TURN_BYTES);
      this.#events.block(own, FRAME_ROOM_BYTES, FRAME_ROOM_BYTES + bytes);
    } else {
      this.#events.data(this.#buffer.subarray(0, bytes));
      if (++this.#smallReads >= STREAM_SMALL_READS) this.#giveBack();
    }
    const room = this.#events.room();
    const whole = this.#own === undefined ? SHARED : Buffer.from(this.#own.buffer, FRAME_ROOM_BYTES);
    this.#buffer = room > 0 && room < whole.length ? whole.subarray(0, room) : whole;
    return room > 0;
  }

  goOn(): void {
    const socket = this.#socket;
    while (this.#first !== undefined) {
      const room = this.#events.room();
      if (room <= 0) return;
      const piece = this.#first.subarray(0, room);
      this.#first = piece.length < this.#first.length ? this.#first.subarray(room) : undefined;
      this.#events.data(piece);
    }
    if (!socket.destroyed && this.#events.room() >= this.#buffer.length) socket.resume();
  }

  /** One that rests gives its block to others. */
  tick(): void {
    if (this.#own !== undefined && !this.#hasMoved && !this.#socket.destroyed) {
      this.#giveBack();
      rebind(this.#socket, this);
    }
    this.#hasMoved = false;
  }

  #giveBack(): void {
    const own = this.#own;
    if (own === undefined) return;
    this.#own = undefined;
    this.#buffer = SHARED;
    this.#smallReads = 0;
    this.#blocks.give(own);
  }
}
