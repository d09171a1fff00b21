import type { Connection } from "../tcp/connection.ts";
import { rebind } from "./borrowed-reads.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { Lender } from "./lender.ts";
import { SPLICE_LEASES_MAX, SPLICE_SHARED_BYTES, SPLICE_SMALL_READS } from "./limits.ts";
import type { Pump, PumpEvents } from "./pump.ts";

/** All sources that say little read into this one; nothing stands in it once a read was told of. */
const SHARED = Buffer.allocUnsafeSlow(SPLICE_SHARED_BYTES);

/** A read of less than this part of its own buffer shows that a source needs none. */
const SMALL_PART = 16;

/**
 * Reads into buffers that it lends, and writes from them. A source that says little shares one with all others, and what it says is copied;
 * one that fills it gets a large one of its own, from which is written what stands in it, and it is read into again once all of that has
 * left: until then the source is not read.
 */
export class LendingPump implements Pump, Lender {
  readonly #source: Connection;
  readonly #sink: Connection;
  readonly #events: PumpEvents;
  readonly #pool: BufferPool;
  #own: Buffer | undefined;
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
  }

  /** @param head what came of the source before */
  start(head: Buffer): void {
    const source = this.#source;
    source.once("end", this.#onEnd);
    // What the stream holds came before what is lent a buffer.
    const rest = source.readableLength > 0 ? (source.read() as Buffer | null) : null;
    const first = rest === null ? head : Buffer.concat([head, rest]);
    // It was paused before its buffers were lent, which stops its stream alone: now the system's reads rest, too.
    source.pause();
    if (first.length > 0) this.#waiting = first;
    // One that ended before it was listened to says so no more.
    if (source.readableEnded) this.#onEnd();
    else this.goOn();
  }

  buffer(): Buffer {
    return this.#own ?? SHARED;
  }

  took(bytes: number): boolean {
    const own = this.#own;
    if (this.#isBusy) {
      this.#tookBesides(bytes);
      return false;
    }
    // What is not written at once stays where it stands, and everybody reads into the shared one.
    const chunk = own === undefined ? Buffer.from(SHARED.subarray(0, bytes)) : own.subarray(0, bytes);
    this.#hasMoved = true;
    const isGone = this.#pass(chunk);
    if (own === undefined) {
      if (bytes === SHARED.length) this.#lease();
    } else if (this.#own !== own) return false;
    else if (bytes >= own.length / SMALL_PART) this.#smallReads = 0;
    else if (++this.#smallReads >= SPLICE_SMALL_READS && !this.#isBusy) this.#giveBack();
    return isGone && !this.#events.mustRest();
  }

  /** A read came while it was to rest: it waits behind what waits, where it has overwritten nothing. */
  #tookBesides(bytes: number): void {
    if (this.#own !== undefined) {
      this.#source.destroy(new Error("it was read although it was not to be"));
      return;
    }
    const chunk = Buffer.from(SHARED.subarray(0, bytes));
    this.#waiting = this.#waiting === undefined ? chunk : Buffer.concat([this.#waiting, chunk]);
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
    if (this.#writing === 0) this.#pool.give(this.#own);
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
    this.#events.moved(bytes);
    return true;
  }

  #lease(): void {
    if (this.#isDropped || this.#events.isPaced || this.#leases >= SPLICE_LEASES_MAX) return;
    this.#own = this.#pool.take();
    this.#leases++;
    this.#smallReads = 0;
  }

  #giveBack(): void {
    this.#pool.give(this.#own!);
    this.#own = undefined;
  }
}
