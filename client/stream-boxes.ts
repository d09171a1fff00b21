import { STREAM_SEND_BYTES } from "./limits.ts";

/** What an inbox needs of the stream behind it. */
interface InboxOwner {
  readonly consumed: (bytes: number) => void;
  readonly giveUp: () => void;
}

/** A ReadableStream of what comes: a chunk counts as consumed once a reader has it, so that a slow one slows the target. */
export class Inbox {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #owner: InboxOwner;
  readonly #chunks: Uint8Array[] = [];
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  /** A reader waits. */
  #wanted: PromiseWithResolvers<void> | undefined;
  #state: "open" | "ended" | "closed" = "open";

  constructor(owner: InboxOwner) {
    this.#owner = owner;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => {
          this.#state = "closed";
          this.#chunks.length = 0;
          owner.giveUp();
        },
      },
      // With a higher one, chunks would be taken that nobody has asked for.
      { highWaterMark: 0 },
    );
  }

  put(chunk: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#chunks.push(chunk);
    if (this.#wanted !== undefined) this.#give();
  }

  /** Nothing more comes: the reader has the rest first. */
  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    if (this.#chunks.length === 0) this.#close();
  }

  /** Ends now, without what was not read. */
  drop(): void {
    if (this.#state !== "closed") this.#close();
  }

  fail(error: unknown): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#chunks.length = 0;
    this.#controller.error(error);
    this.#wanted?.resolve();
  }

  #pull(): Promise<void> | undefined {
    this.#wanted = Promise.withResolvers();
    const { promise } = this.#wanted;
    if (this.#chunks.length > 0) this.#give();
    return promise;
  }

  #give(): void {
    const chunk = this.#chunks.shift()!;
    const wanted = this.#wanted;
    this.#wanted = undefined;
    this.#controller.enqueue(chunk);
    wanted?.resolve();
    this.#owner.consumed(chunk.length);
    if (this.#state === "ended" && this.#chunks.length === 0) this.#close();
  }

  #close(): void {
    this.#state = "closed";
    this.#chunks.length = 0;
    this.#controller.close();
    this.#wanted?.resolve();
  }
}

/** What an outbox needs of the stream behind it. */
interface OutboxOwner {
  readonly room: () => number;
  readonly send: (piece: Uint8Array) => void;
  readonly finish: () => Promise<void>;
  readonly giveUp: () => void;
}

/** A WritableStream into a stream: a write waits until there is room for all of it. */
export class Outbox {
  readonly writable: WritableStream<Uint8Array>;
  readonly #owner: OutboxOwner;
  #controller!: WritableStreamDefaultController;
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(owner: OutboxOwner) {
    this.#owner = owner;
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        // The sink's own `abort` is called only once a write or close that waits has ended, and they may wait for good.
        controller.signal.addEventListener("abort", () => {
          this.#waiting?.reject(controller.signal.reason);
          owner.giveUp();
        });
      },
      write: (chunk) => this.#write(chunk),
      close: owner.finish,
    });
  }

  /** There is room. */
  wake(): void {
    this.#waiting?.resolve();
  }

  fail(error: unknown): void {
    // Whoever aborts has named the reason, and is not to be told of a failure.
    if (!this.#controller.signal.aborted) this.#controller.error(error);
    this.#waiting?.reject(error);
  }

  async #write(chunk: unknown): Promise<void> {
    const bytes = bytesOf(chunk);
    for (let at = 0; at < bytes.length;) {
      const room = this.#owner.room();
      if (room === 0) {
        this.#waiting = Promise.withResolvers();
        await this.#waiting.promise;
        continue;
      }
      // A copy: the app may use its chunk again once it is written, and what is sent is kept until the target has it.
      const piece = bytes.slice(at, at + Math.min(room, STREAM_SEND_BYTES));
      this.#owner.send(piece);
      at += piece.length;
    }
  }
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError("a chunk is neither an ArrayBuffer nor a view of one");
}
