import { TLSSocket } from "node:tls";
import type { Connection } from "../tcp/connection.ts";
import { rebind } from "./borrowed-reads.ts";
import { takeHeld } from "./held.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { Lender } from "./lender.ts";
import {
  SPLICE_BUFFER_BYTES,
  SPLICE_LEASES_MAX,
  SPLICE_SHARED_BYTES,
  SPLICE_SMALL_READS,
  TLS_RECORD_BYTES,
} from "./limits.ts";
import type { Pump, PumpEvents } from "./pump.ts";

/** All sources that say little read into this one; nothing stands in it once a read was told of. */
const SHARED = Buffer.allocUnsafeSlow(SPLICE_SHARED_BYTES);

/** Of the one buffer: a read that fills the shared one asks for an own one, a read of less than a part of its own shows that none is needed. */
const PLAIN_READS = { full: SPLICE_SHARED_BYTES, small: SPLICE_BUFFER_BYTES / 16 };

/** TLS hands on a record of at most 16 kB at a time. */
const TLS_READS = { full: TLS_RECORD_BYTES, small: TLS_RECORD_BYTES / 4 };

/**
 * Reads into buffers that it lends, and writes from them. A source that says little shares one with all others, and what it says is copied;
 * one that fills it gets a large one of its own, from which is written what stands in it, and it is read into again once all of that has
 * left: until then the source is not read. What TLS hands on all the same goes behind it.
 */
export class LendingPump implements Pump, Lender {
  readonly takesAll = true;
  readonly #source: Connection;
  readonly #sink: Connection;
  readonly #events: PumpEvents;
  readonly #pool: BufferPool;
  /** TLS hands on all that it has decrypted: several reads, one behind the other, although the first was to be the last. */
  readonly #isGreedy: boolean;
  readonly #reads: typeof PLAIN_READS;
  #own: Buffer | undefined;
  /** Where the next read goes in it: behind what has not left. */
  #at = 0;
  /** Where it was told to read. */
  #into: Buffer = SHARED;
  #leases = 0;
  #smallReads = 0;
  /** What has to rest. */
  #waiting: Buffer | undefined;
  /** Bytes of the write that is under way. */
  #writing = 0;
  #hasEnded = false;
  #hasMoved = false;
  #isDropped = false;

  constructor(source: Connection, sink: Connection, events: PumpEvents, pool: BufferPool) {
    this.#source = source;
    this.#sink = sink;
    this.#events = events;
    this.#pool = pool;
    this.#isGreedy = source instanceof TLSSocket;
    this.#reads = this.#isGreedy ? TLS_READS : PLAIN_READS;
  }

  /** @param head what came of the source before */
  start(head: Buffer): void {
    const source = this.#source;
    source.once("end", this.#onEnd);
    const first = takeHeld(source, head);
    // It was paused before its buffers were lent, which stops its stream alone: now the system's reads rest, too.
    source.pause();
    if (first.length > 0) this.#waiting = first;
    // One that ended before it was listened to says so no more.
    if (source.readableEnded) this.#onEnd();
    else this.goOn();
  }

  buffer(): Buffer {
    const own = this.#own;
    if (own === undefined || own.length - this.#at < SHARED.length) this.#into = SHARED;
    else this.#into = this.#at === 0 ? own : own.subarray(this.#at);
    return this.#into;
  }

  took(bytes: number): boolean {
    const own = this.#own;
    const chunk = this.#read(bytes);
    if (this.#isBusy) {
      this.#keep(chunk);
      return false;
    }
    this.#hasMoved = true;
    const isGone = this.#pass(chunk);
    if (own === undefined) {
      if (bytes >= this.#reads.full) this.#lease();
    } else if (this.#own !== own) return false;
    else if (bytes >= this.#reads.small) this.#smallReads = 0;
    else if (++this.#smallReads >= SPLICE_SMALL_READS && !this.#isBusy) this.#giveBack();
    return isGone && !this.#events.mustRest();
  }

  /** What was read. In its own buffer it stays where it stands; everybody reads into the shared one. */
  #read(bytes: number): Buffer {
    const into = this.#into;
    if (into === SHARED) return Buffer.from(SHARED.subarray(0, bytes));
    if (this.#isGreedy) this.#at = into.byteOffset + bytes;
    return into.subarray(0, bytes);
  }

  /** A read came while it was to rest: it waits behind what waits, where it has overwritten nothing. */
  #keep(chunk: Buffer): void {
    const waiting = this.#waiting;
    if (this.#own !== undefined && !this.#isGreedy) {
      this.#source.destroy(new Error("it was read although it was not to be"));
    } else if (waiting === undefined) this.#waiting = chunk;
    else if (isBehind(waiting, chunk)) {
      this.#waiting = Buffer.from(waiting.buffer, waiting.byteOffset, waiting.length + chunk.length);
    } else this.#waiting = Buffer.concat([waiting, chunk]);
  }

  goOn(): void {
    if (this.#isDropped || this.#writing > 0 || this.#sink.destroyed) return;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      if (!this.#pass(waiting)) return;
    }
    if (this.#hasEnded) {
      if (this.#own !== undefined) this.#giveBack();
      if (!this.#sink.writableEnded) this.#sink.end();
    } else if (!this.#events.mustRest()) this.#source.resume();
  }

  tick(): void {
    if (this.#own !== undefined && !this.#hasMoved && !this.#isBusy) {
      this.#giveBack();
      rebind(this.#source, this);
    }
    this.#hasMoved = false;
  }

  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.#waiting = undefined;
    if (this.#own === undefined) return;
    // A greedy source may still read into it.
    if (this.#writing === 0 && !this.#isGreedy) this.#pool.give(this.#own);
    else this.#pool.lost();
    this.#own = undefined;
  }

  /** Something stands in its buffer that has not left. */
  get #isBusy(): boolean {
    return this.#waiting !== undefined || this.#writing > 0;
  }

  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    this.#events.ended();
    this.goOn();
  };

  /** Writes, or keeps what has to rest. @returns whether all has left */
  #pass(chunk: Buffer): boolean {
    if (this.#isDropped || this.#sink.destroyed) return false;
    if (this.#events.mustRest()) {
      this.#waiting = chunk;
      return false;
    }
    this.#writing = chunk.length;
    this.#sink.write(chunk, this.#onWritten);
    // What the system took at once has left, and is told of only later.
    return this.#hasWritten();
  }

  /** A failure is the socket's to tell. */
  readonly #onWritten = (error?: Error | null): void => {
    const isFailed = error !== undefined && error !== null;
    if (!isFailed && !this.#isDropped && this.#writing > 0 && this.#hasWritten()) this.goOn();
  };

  /** Books what was being written, once all of it has left. */
  #hasWritten(): boolean {
    if (this.#sink.writableLength > 0) return false;
    const bytes = this.#writing;
    this.#writing = 0;
    this.#at = 0;
    this.#events.moved(bytes);
    return true;
  }

  #lease(): void {
    if (this.#isDropped || this.#events.isPaced || this.#leases >= SPLICE_LEASES_MAX) return;
    this.#own = this.#pool.take();
    this.#at = 0;
    this.#leases++;
    this.#smallReads = 0;
  }

  #giveBack(): void {
    this.#pool.give(this.#own!);
    this.#own = undefined;
  }
}

function isBehind(bytes: Buffer, next: Buffer): boolean {
  return next.buffer === bytes.buffer && next.byteOffset === bytes.byteOffset + bytes.length;
}
