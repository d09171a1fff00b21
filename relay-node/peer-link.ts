import type { Logger } from "pino";
import { CONSUMED_BATCH_MAX_ENTRIES, CONSUMED_MEMORY_SECONDS } from "../protocol/limits.ts";
import {
  CONSUMED_BATCH_MS,
  CONSUMED_IN_FLIGHT,
  CONSUMED_QUEUE_MAX,
  CONSUMED_SEND_MS,
  PEER_KEEP_WARM_MS,
  PEER_RETRY_MAX_MS,
  PEER_RETRY_MIN_MS,
} from "./limits.ts";
import { causeOf, type PeerClient } from "./peer-client.ts";
import { ToldEntries } from "./told-entries.ts";

/** Ids that were used within one second. */
interface Batch {
  /** Seconds since 1970. */
  readonly at: number;
  readonly entries: ToldEntries;
}

/**
 * Tells one peer which ids were used here: soon, in batches, several under way at once. What can't be told waits, for as
 * long as an id has to be remembered, and is told when the peer is back. Batches may come in any order and twice: the
 * peer ends up with the same.
 */
export class PeerLink {
  readonly client: PeerClient;
  readonly #now: () => number;
  readonly #log: Logger;
  readonly #batches: Batch[] = [];
  /** Entries in batches, those under way too. */
  #queued = 0;
  #inFlight = 0;
  /** When the next batch leaves, or, of a lost peer, when it is tried again. */
  #timer: NodeJS.Timeout | undefined;
  /** The wait before the next try; set while the peer is lost. */
  #retryMs: number | undefined;
  /** Ids that the peer was never told. */
  #dropped = 0;
  #onSettled: (() => void) | undefined;
  /** What the entries of a batch were written to that has been told. */
  #spare: Buffer<ArrayBuffer> | undefined;
  readonly #warm: NodeJS.Timeout;

  /** @param now seconds since 1970 */
  constructor(client: PeerClient, now: () => number, log: Logger) {
    this.client = client;
    this.#now = now;
    this.#log = log;
    this.#warm = setInterval(() => this.#probe(), PEER_KEEP_WARM_MS).unref();
  }

  /** Ids that wait to be told. */
  get queued(): number {
    return this.#queued;
  }

  /**
   * Takes entries; nothing waits for what becomes of them.
   * @param text their lines, each behind a line feed
   * @param count how many: no more than a batch may have
   */
  tell(text: string, count: number, now: number): void {
    let batch = this.#batches.at(-1);
    if (batch?.at !== now || batch.entries.count + count > CONSUMED_BATCH_MAX_ENTRIES) {
      batch = { at: now, entries: new ToldEntries(this.#spare) };
      this.#spare = undefined;
      this.#batches.push(batch);
    }
    batch.entries.add(text, count);
    this.#queued += count;
    if (this.#queued > CONSUMED_QUEUE_MAX) this.#drop();
    // Of a lost peer, the next try is set already, or waits for how the last one ends.
    if (this.#retryMs === undefined) this.#timer ??= setTimeout(this.#send, CONSUMED_BATCH_MS);
  }

  /** The peer has shown that it is there: what waits for its return waits no longer. */
  nudge(): void {
    if (this.#retryMs !== undefined) this.#probe();
  }

  /** Tells what can still be told until the signal, and ends. */
  async close(deadline: AbortSignal): Promise<void> {
    clearInterval(this.#warm);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onSettled = resolve;
    deadline.addEventListener("abort", () => resolve(), { once: true });
    this.#send();
    if (this.#inFlight === 0) resolve();
    await promise;
    clearTimeout(this.#timer);
    if (this.#queued > 0) {
      this.#log.warn({ peer: this.client.id, ids: this.#queued }, "peer not told its last ids");
    }
    await this.client.close();
  }

  /** An empty batch where nothing else waits. */
  #probe(): void {
    if (this.#inFlight >= CONSUMED_IN_FLIGHT) return;
    if (this.#batches.length === 0) this.#batches.push({ at: this.#now(), entries: new ToldEntries() });
    void this.#deliver(this.#batches.shift()!);
  }

  readonly #send = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const oldest = this.#now() - CONSUMED_MEMORY_SECONDS;
    while (this.#batches.length > 0 && this.#batches[0]!.at < oldest) this.#drop();
    // One batch shows whether a lost peer is back.
    if (this.#retryMs !== undefined) this.#probe();
    else {
      while (this.#inFlight < CONSUMED_IN_FLIGHT && this.#batches.length > 0) {
        void this.#deliver(this.#batches.shift()!);
      }
    }
  };

  async #deliver(batch: Batch): Promise<void> {
    const { entries } = batch;
    this.#inFlight += 1;
    try {
      const signal = AbortSignal.timeout(CONSUMED_SEND_MS);
      const answer = await this.client.send("consumed", entries.body(), signal);
      await answer.dump();
      this.#queued -= entries.count;
      this.#spare = entries.release();
      this.#found();
    } catch (error) {
      if (entries.count > 0) this.#batches.unshift(batch);
      this.#lost(error);
    } finally {
      this.#inFlight -= 1;
      this.#goOn();
    }
  }

  #goOn(): void {
    const isLost = this.#retryMs !== undefined;
    if (this.#onSettled !== undefined) {
      if (!isLost) this.#send();
      if (this.#inFlight === 0) this.#onSettled();
    } else if (isLost) {
      if (this.#timer !== undefined) return;
      this.#timer = setTimeout(this.#send, this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs! * 2, PEER_RETRY_MAX_MS);
    } else if (this.#timer === undefined) this.#send();
  }

  #lost(error: unknown): void {
    if (this.#retryMs !== undefined) return;
    this.#retryMs = PEER_RETRY_MIN_MS;
    // A batch that was to leave soon becomes the first try.
    this.#log.warn({ peer: this.client.id, cause: causeOf(error) }, "peer lost");
  }

  #found(): void {
    if (this.#retryMs === undefined) return;
    this.#retryMs = undefined;
    this.#log.info({ peer: this.client.id, queued: this.#queued, dropped: this.#dropped }, "peer found");
    this.#dropped = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Gives up the oldest batch. */
  #drop(): void {
    const count = this.#batches.shift()?.entries.count ?? 0;
    this.#queued -= count;
    this.#dropped += count;
  }
}
