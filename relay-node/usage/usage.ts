import type { Logger } from "pino";
import { monthEnd, monthOf, monthsBefore } from "../../protocol/usage.ts";
import { type Member, Members } from "../members.ts";
import { CountsByMonth, type Counts } from "./counts.ts";
import { UsageJournal } from "./journal.ts";
import { USAGE_BOOK_MS } from "./limits.ts";

/** A call whose bytes, and whose time where it is a stream, are booked while it runs. */
export interface Metered {
  /** Once it is known who makes it. */
  readonly claims: { readonly sub: string } | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** What of it is booked, while it runs. */
  booked?: Member<Booked> | undefined;
}

/** What of a running call is booked. */
export interface Booked {
  readonly call: Metered;
  readonly isStream: boolean;
  bytesUp: number;
  bytesDown: number;
  /** Until when its time is booked; `performance.now()`'s. */
  until: number;
}

/**
 * Counts what a node's clients use. What has happened stands in the journal before its answer leaves; what moves is booked
 * each second, and what of it ended in between. A journal that can't be written holds nothing up: what it lacks is kept,
 * and written when it can be.
 */
export class Usage {
  readonly journal: UsageJournal;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #running = new Members<Booked>();
  /** What is not in the journal yet. */
  readonly #pending = new CountsByMonth();
  #month = "";
  #monthBegins = Infinity;
  #monthEnds = 0;
  #booking: NodeJS.Timeout | undefined;
  #flushing: NodeJS.Immediate | undefined;
  #isEnding = false;
  #isFailing = false;
  /** Who waits for what is not in the journal yet. */
  #waiting: (() => void)[] = [];

  /**
   * @param now milliseconds since 1970
   * @throws the system's error where the journal can't be opened
   */
  constructor(dir: string, log: Logger, now: () => number = Date.now) {
    this.journal = new UsageJournal(dir);
    this.#log = log;
    this.#now = now;
  }

  /** Calls whose bytes and time are booked while they run. */
  get running(): number {
    return this.#running.size;
  }

  /** A request was let in, or something else that counts as one: on file when this returns. */
  request(client: string): void {
    this.#of(client).requests += 1;
    this.flush();
  }

  /**
   * A request was let in, and is written with all else of this turn of the event loop.
   *
   * @param written called once it is on file, or can't be written
   * @param isRead the turn's reads are done: what else comes of them comes before the next tick
   */
  requestInTurn(client: string, written: () => void, isRead = false): void {
    this.#of(client).requests += 1;
    this.#waiting.push(written);
    if (!isRead) this.#flushSoon();
    else if (!this.#isEnding) {
      this.#isEnding = true;
      process.nextTick(() => {
        this.#isEnding = false;
        this.flush();
      });
    }
  }

  /** A stream was opened: on file when this returns. */
  stream(client: string): void {
    const counts = this.#of(client);
    counts.requests += 1;
    counts.streams += 1;
    this.flush();
  }

  /** The same, written with all else of this turn of the event loop. @param written as of `requestInTurn` */
  streamInTurn(client: string, written: () => void): void {
    const counts = this.#of(client);
    counts.requests += 1;
    counts.streams += 1;
    this.#waiting.push(written);
    this.#flushSoon();
  }

  /** Something was refused. A flood of it costs one write in a turn. */
  refusal(client: string): void {
    this.#of(client).refusals += 1;
    this.#flushSoon();
  }

  /** From now on what a call moves is booked, and of a stream its time. */
  began(call: Metered, isStream: boolean): void {
    call.booked = this.#running.enter({
      call,
      isStream,
      bytesUp: 0,
      bytesDown: 0,
      until: performance.now(),
    });
    this.#booking ??= setInterval(() => this.book(), USAGE_BOOK_MS).unref();
  }

  /** It moves nothing more. */
  ended(call: Metered): void {
    const booked = call.booked?.item;
    if (booked === undefined) return;
    call.booked!.leave();
    call.booked = undefined;
    // Written with what is counted next, or within a second: a write of its own would cost each request as much as being counted.
    this.#book(booked);
  }

  /** Books what runs up to now. */
  book(): void {
    for (const booked of this.#running) this.#book(booked);
    this.flush();
    if (this.#running.size > 0) return;
    clearInterval(this.#booking);
    this.#booking = undefined;
  }

  /** What ends later was booked up to here. */
  close(): void {
    this.book();
    for (const { call } of this.#running) call.booked!.leave();
    clearInterval(this.#booking);
    this.journal.close();
  }

  #of(client: string): Counts {
    const now = this.#now();
    // A clock that was ahead is set back, too.
    if (now < this.#monthBegins || now >= this.#monthEnds) {
      this.#month = monthOf(now);
      this.#monthBegins = monthEnd(monthsBefore(this.#month, 1));
      this.#monthEnds = monthEnd(this.#month);
    }
    return this.#pending.of(this.#month, client);
  }

  #book(booked: Booked): void {
    const { bytesUp, bytesDown, claims } = booked.call;
    const now = performance.now();
    const up = Math.max(0, bytesUp - booked.bytesUp);
    const down = Math.max(0, bytesDown - booked.bytesDown);
    const ms = booked.isStream ? Math.floor(now - booked.until) : 0;
    if (claims === undefined || (up === 0 && down === 0 && ms === 0)) return;
    const counts = this.#of(claims.sub);
    counts.bytesUp += up;
    counts.bytesDown += down;
    counts.streamMs += ms;
    booked.bytesUp += up;
    booked.bytesDown += down;
    booked.until += ms;
  }

  #flushSoon(): void {
    this.#flushing ??= setImmediate(() => this.flush());
  }

  /** What is counted by now stands in the journal when this returns, or can't be written. */
  flush(): void {
    if (this.#flushing !== undefined) {
      clearImmediate(this.#flushing);
      this.#flushing = undefined;
    }
    this.#write();
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const written of waiting) written();
  }

  #write(): void {
    try {
      this.journal.add(this.#pending);
      this.#pending.clear();
    } catch (error) {
      if (!this.#isFailing) {
        const { code, message } = error as NodeJS.ErrnoException;
        this.#log.warn({ cause: code ?? message }, "usage not written");
      }
      this.#isFailing = true;
      return;
    }
    if (this.#isFailing) this.#log.info("usage written again");
    this.#isFailing = false;
  }
}
