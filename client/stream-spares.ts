import type { ParkedMessage } from "../protocol/stream-messages.ts";
import {
  SPARE_ASK_MS,
  SPARE_HEARD_MS,
  SPARE_KEEP_MS,
  SPARE_MARGIN_MS,
  SPARE_OPEN_MS,
  SPARE_REPLACE_MS,
  SPARE_RETRY_MS,
  SPARE_STEADY_MS,
  SPARES_MAX,
} from "./limits.ts";
import { StreamConnection, type StreamSigner } from "./stream-connection.ts";
import { keepAlive } from "./timers.ts";

/** A path to a node that waits for the word to dial. */
export interface SparePath {
  readonly connection: StreamConnection;
  readonly parked: ParkedMessage;
}

/**
 * Keeps a path open ahead of each target that is expected to be asked for: one, for as long as it is asked for now and then. A stream
 * that takes it is open after one way there and back. Nothing hangs on one: where there is none, a stream is opened as ever.
 */
export class Spares {
  readonly #signer: StreamSigner;
  readonly #spares = new Map<string, Spare>();

  constructor(signer: StreamSigner) {
    this.#signer = signer;
  }

  /**
   * Expects streams to a target, the first one soon.
   * @param url `tcp://host:port`
   * @returns ends it
   */
  expect(url: string): () => void {
    if (this.#spares.has(url) || this.#spares.size >= SPARES_MAX) return () => {};
    const spare = new Spare(this.#signer, url);
    this.#spares.set(url, spare);
    spare.use();
    return () => {
      if (this.#spares.get(url) === spare) this.#spares.delete(url);
      spare.end();
    };
  }

  /** The path to a target, which is the caller's from now on; undefined where there is none. */
  take(url: string): SparePath | undefined {
    return this.#spares.get(url)?.take();
  }
}

/** One target's. */
class Spare {
  readonly #signer: StreamSigner;
  readonly #url: string;
  #connection: StreamConnection | undefined;
  #parked: ParkedMessage | undefined;
  /** By the wall: a machine that slept has slept through a path's life, whatever its other clocks say. */
  #parkedAt = 0;
  #usedAt = 0;
  /** When something was last heard of it, by the wall as well. */
  #heardAt = 0;
  /** It was asked for a sign of life, and has given none. */
  #isAsked = false;
  #asking: ReturnType<typeof setInterval> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Nothing there knows such paths, or nobody expects any more. */
  #isOff = false;

  constructor(signer: StreamSigner, url: string) {
    this.#signer = signer;
    this.#url = url;
  }

  take(): SparePath | undefined {
    const [connection, parked] = [this.#connection, this.#parked];
    const isFresh = parked !== undefined && this.#ageMs < parked.seconds * 1_000 - SPARE_MARGIN_MS;
    const isAlive = Math.abs(this.#signer.now() - this.#heardAt) < SPARE_HEARD_MS;
    const isGood = isFresh && isAlive && connection?.isParked === true;
    if (parked !== undefined) {
      // It was the path's own.
      clearTimeout(this.#timer);
      this.#timer = undefined;
      clearInterval(this.#asking);
      if (!isGood) this.#drop();
      this.#connection = undefined;
      this.#parked = undefined;
    }
    this.use();
    return isGood ? { connection, parked } : undefined;
  }

  /** It was asked for: there is to be one. */
  use(): void {
    this.#usedAt = this.#signer.now();
    if (this.#connection === undefined && this.#timer === undefined) this.#open();
  }

  end(): void {
    this.#isOff = true;
    clearTimeout(this.#timer);
    clearInterval(this.#asking);
    this.#drop();
  }

  get #ageMs(): number {
    return Math.abs(this.#signer.now() - this.#parkedAt);
  }

  #open(): void {
    if (this.#isOff || this.#signer.now() - this.#usedAt >= SPARE_KEEP_MS) return;
    const request = {
      url: this.#url,
      node: this.#signer.node,
      resume: undefined,
      deadlineMs: SPARE_OPEN_MS,
      park: true,
    };
    const connection: StreamConnection = new StreamConnection(
      this.#signer,
      request,
      {
        parked: (message) => {
          this.#parked = message;
          this.#parkedAt = this.#signer.now();
          this.#heard();
          this.#asking = setInterval(() => this.#ask(connection), SPARE_ASK_MS);
          keepAlive(this.#asking, false);
          this.#after(message.seconds * 1_000 - SPARE_MARGIN_MS, () => {
            this.#replace();
          });
        },
        open: () => {},
        message: () => this.#heard(),
        lost: ({ code }) => {
          if (this.#connection !== connection) return;
          clearInterval(this.#asking);
          const wasSteady = this.#parked !== undefined && this.#ageMs >= SPARE_STEADY_MS;
          // An edge or a node of an older version has dialled.
          if (code === "stream_protocol") this.#isOff = true;
          this.#connection = undefined;
          this.#parked = undefined;
          this.#after(wasSteady ? SPARE_REPLACE_MS : SPARE_RETRY_MS, () => this.#open());
        },
      },
      false,
    );
    this.#connection = connection;
  }

  /** A path that a box on the way has forgotten breaks at neither end. */
  #ask(connection: StreamConnection): void {
    if (this.#isAsked || !connection.isParked) return this.#replace();
    this.#isAsked = true;
    connection.send(JSON.stringify({ type: "ping" }));
  }

  #heard(): void {
    this.#isAsked = false;
    this.#heardAt = this.#signer.now();
  }

  #replace(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    clearInterval(this.#asking);
    this.#drop();
    this.#open();
  }

  /** Nothing is owed to it: a farewell would be waited for, and keep a process. */
  #drop(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#parked = undefined;
    this.#isAsked = false;
    connection?.terminate();
  }

  #after(ms: number, work: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        work();
      },
      Math.max(0, ms),
    );
    keepAlive(this.#timer, false);
  }
}
