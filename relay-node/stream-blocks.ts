import type { Blocks } from "../protocol/byte-queue.ts";
import { STREAM_BLOCK_BYTES, STREAM_BLOCKS_SPARE_BYTES } from "./limits.ts";

/**
 * The blocks that bytes of streams stand in while they are under way. They are used again and again: to get each chunk a buffer of
 * its own keeps the collector of garbage busier than all else.
 */
class BlockPool {
  readonly #spare = new Map<number, Uint8Array[]>(STREAM_BLOCK_BYTES.map((size) => [size, []]));
  #spareBytes = 0;

  take(bytes: number): Uint8Array {
    const size = STREAM_BLOCK_BYTES.find((one) => one >= bytes) ?? STREAM_BLOCK_BYTES.at(-1)!;
    const spare = this.#spare.get(size)!.pop();
    if (spare === undefined) return new Uint8Array(size);
    this.#spareBytes -= size;
    return spare;
  }

  give(block: Uint8Array): void {
    if (this.#spareBytes + block.length > STREAM_BLOCKS_SPARE_BYTES) return;
    this.#spareBytes += block.length;
    this.#spare.get(block.length)!.push(block);
  }
}

const pool = new BlockPool();

/** Blocks for a queue whose bytes nobody has any more once they are dropped. */
export const STREAM_BLOCKS: Blocks = pool;

/**
 * Takes back the blocks of what was sent by one connection: each is used again once all has left that had been sent by then. Whatever the
 * other end says to have, what has yet to leave is not overwritten.
 */
export class SentBlocks {
  #sent = 0;
  #left = 0;
  /** Given back, with how much had been sent by then. */
  readonly #waiting: { readonly block: Uint8Array; readonly sent: number }[] = [];

  give(block: Uint8Array): void {
    if (this.#left === this.#sent) pool.give(block);
    else this.#waiting.push({ block, sent: this.#sent });
  }

  /** Something is being sent. @returns to be called once it has left */
  sending(): () => void {
    this.#sent++;
    return this.#onLeft;
  }

  readonly #onLeft = (): void => {
    this.#left++;
    let free = 0;
    while (free < this.#waiting.length && this.#waiting[free]!.sent <= this.#left) free++;
    for (const { block } of this.#waiting.splice(0, free)) pool.give(block);
  };
}
