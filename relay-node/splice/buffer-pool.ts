import { SPLICE_BUFFER_BYTES, SPLICE_BUFFERS_MAX, SPLICE_BUFFERS_SPARE } from "./limits.ts";

/** How many buffers there are, and how large they are. */
export interface PoolSizes {
  readonly bytes: number;
  /** Given out at once. */
  readonly max: number;
  /** Kept while nobody has them. */
  readonly spare: number;
}

const SIZES: PoolSizes = { bytes: SPLICE_BUFFER_BYTES, max: SPLICE_BUFFERS_MAX, spare: SPLICE_BUFFERS_SPARE };

/**
 * Large buffers for connections that carry much. Whoever takes one gives it back when nothing reads into it or writes from it any
 * more, or says that it is lost: nobody else gets it then.
 */
export class BufferPool {
  readonly #sizes: PoolSizes;
  readonly #spare: Buffer[] = [];
  #out = 0;

  constructor(sizes: PoolSizes = SIZES) {
    this.#sizes = sizes;
  }

  /** Buffers that somebody has. */
  get out(): number {
    return this.#out;
  }

  /** Undefined: as many are out as may be. */
  take(): Buffer | undefined {
    if (this.#out >= this.#sizes.max) return undefined;
    this.#out++;
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#sizes.bytes);
  }

  give(buffer: Buffer): void {
    this.#out--;
    if (this.#spare.length < this.#sizes.spare) this.#spare.push(buffer);
  }

  /** One that was taken won't come back: something may still be written from it. */
  lost(): void {
    this.#out--;
  }
}
