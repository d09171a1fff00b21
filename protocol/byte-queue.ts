/** Below this a chunk is copied: by itself it would cost more than its bytes, and may keep a large buffer alive. */
const COPIED_BELOW_BYTES = 2_048;

/** What copies of small chunks are gathered in. */
const BLOCK_BYTES = 4_096;

/** Where blocks come from that a queue copies what it takes in into, and where they go back to. */
export interface Blocks {
  /** One for so many bytes, or for some of them. */
  take(bytes: number): Uint8Array;
  /** None of the queue's bytes stand in it any more. Who was handed some may have them still. */
  give(block: Uint8Array): void;
}

/** Bytes in order, taken in at one end and dropped at the other. However small the pieces were, it costs about twice its bytes. */
export class ByteQueue {
  readonly #blocks: Blocks | undefined;
  readonly #chunks: Uint8Array[] = [];
  /** What each chunk stands in, where that has to be given back. */
  readonly #lent: (Uint8Array | undefined)[] = [];
  #size = 0;
  /** Where the last chunk is a copy: the block that it stands in, and where its bytes begin and end there. */
  #block: Uint8Array | undefined;
  #begin = 0;
  #end = 0;

  /** @param blocks where all is copied into; without them large chunks are kept as they come */
  constructor(blocks?: Blocks) {
    this.#blocks = blocks;
  }

  /** How many bytes it holds. */
  get size(): number {
    return this.#size;
  }

  /**
   * Takes bytes in, which must not be changed afterwards, but where it has blocks of its own.
   * @returns the same bytes, as they stay until they are dropped
   */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    if (chunk.length === 0) return [];
    this.#size += chunk.length;
    if (this.#blocks === undefined && chunk.length >= COPIED_BELOW_BYTES) {
      this.#block = undefined;
      this.#add(chunk, undefined);
      return [chunk];
    }
    if (this.#block !== undefined && this.#end + chunk.length <= this.#block.length) {
      return [this.#append(chunk)];
    }
    const kept: Uint8Array[] = [];
    for (let at = 0; at < chunk.length;) {
      const lent = this.#blocks?.take(this.#size);
      const block = lent ?? new Uint8Array(BLOCK_BYTES);
      this.#block = block;
      this.#begin = 0;
      this.#end = 0;
      this.#add(block.subarray(0, 0), lent);
      kept.push(this.#append(chunk.subarray(at, at + block.length)));
      at += kept.at(-1)!.length;
    }
    return kept;
  }

  /**
   * Takes in bytes that stand in a block already, which is the queue's from now on, and given back as its own are.
   * @returns them, as they stay until they are dropped
   */
  adopt(block: Uint8Array, begin: number, end: number): Uint8Array {
    const chunk = block.subarray(begin, end);
    this.#size += chunk.length;
    this.#block = block;
    this.#begin = begin;
    this.#end = end;
    this.#add(chunk, block);
    return chunk;
  }

  /** Drops so many bytes at the front. */
  drop(bytes: number): void {
    this.#size -= bytes;
    let left = bytes;
    let whole = 0;
    while (whole < this.#chunks.length && this.#chunks[whole]!.length <= left) {
      left -= this.#chunks[whole++]!.length;
    }
    if (whole > 0) {
      this.#chunks.splice(0, whole);
      for (const block of this.#lent.splice(0, whole)) if (block !== undefined) this.#blocks!.give(block);
    }
    if (this.#chunks.length === 0) this.#block = undefined;
    if (left === 0) return;
    this.#chunks[0] = this.#chunks[0]!.subarray(left);
    if (this.#chunks.length === 1) this.#begin += left;
  }

  /** The first bytes, so many at most; they stay. */
  peek(atMost: number): Uint8Array[] {
    const first: Uint8Array[] = [];
    let left = atMost;
    for (const chunk of this.#chunks) {
      if (left === 0) break;
      first.push(chunk.length <= left ? chunk : chunk.subarray(0, left));
      left -= first.at(-1)!.length;
    }
    return first;
  }

  /** All behind so many bytes, in order. */
  *from(offset: number): Generator<Uint8Array> {
    let skip = offset;
    for (const chunk of this.#chunks) {
      if (skip < chunk.length) yield skip === 0 ? chunk : chunk.subarray(skip);
      skip = Math.max(0, skip - chunk.length);
    }
  }

  /** Forgets all. Blocks don't go back: somebody may be about to send what stands in them. */
  clear(): void {
    this.#chunks.length = 0;
    this.#lent.length = 0;
    this.#size = 0;
    this.#block = undefined;
  }

  #add(chunk: Uint8Array, lent: Uint8Array | undefined): void {
    this.#chunks.push(chunk);
    this.#lent.push(lent);
  }

  /** Copies behind the last chunk, into the block that it stands in. */
  #append(chunk: Uint8Array): Uint8Array {
    const block = this.#block!;
    const at = this.#end;
    block.set(chunk, at);
    this.#end += chunk.length;
    this.#chunks[this.#chunks.length - 1] = block.subarray(this.#begin, this.#end);
    return block.subarray(at, this.#end);
  }
}
