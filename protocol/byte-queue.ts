/** Below this a chunk is copied: by itself it would cost more than its bytes, and may keep a large buffer alive. */
const COPIED_BELOW_BYTES = 2_048;

/** What copies are gathered in. */
const BLOCK_BYTES = 4_096;

/** Bytes in order, taken in at one end and dropped at the other. However small the pieces were, it costs about twice its bytes. */
export class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  #size = 0;
  /** Where the last chunk is a copy: the block that it stands in, and where its bytes begin and end there. */
  #block: Uint8Array | undefined;
  #begin = 0;
  #end = 0;

  /** How many bytes it holds. */
  get size(): number {
    return this.#size;
  }

  /** Takes bytes in, which must not be changed afterwards. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#size += chunk.length;
    if (chunk.length >= COPIED_BELOW_BYTES) {
      this.#block = undefined;
      this.#chunks.push(chunk);
      return;
    }
    if (this.#block !== undefined && this.#end + chunk.length <= BLOCK_BYTES) this.#chunks.pop();
    else {
      this.#block = new Uint8Array(BLOCK_BYTES);
      this.#begin = 0;
      this.#end = 0;
    }
    this.#block.set(chunk, this.#end);
    this.#end += chunk.length;
    this.#chunks.push(this.#block.subarray(this.#begin, this.#end));
  }

  /** Drops so many bytes at the front. */
  drop(bytes: number): void {
    this.#size -= bytes;
    let left = bytes;
    let whole = 0;
    while (whole < this.#chunks.length && this.#chunks[whole]!.length <= left) {
      left -= this.#chunks[whole++]!.length;
    }
    this.#chunks.splice(0, whole);
    if (this.#chunks.length === 0) this.#block = undefined;
    if (left === 0) return;
    this.#chunks[0] = this.#chunks[0]!.subarray(left);
    if (this.#chunks.length === 1) this.#begin += left;
  }

  /** Drops so many bytes at the front, at most, and hands them over. */
  take(atMost: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let left = atMost;
    for (const chunk of this.#chunks) {
      if (left === 0) break;
      taken.push(chunk.length <= left ? chunk : chunk.subarray(0, left));
      left -= taken.at(-1)!.length;
    }
    this.drop(atMost - left);
    return taken;
  }

  /** All behind so many bytes, in order. */
  *from(offset: number): Generator<Uint8Array> {
    let skip = offset;
    for (const chunk of this.#chunks) {
      if (skip < chunk.length) yield skip === 0 ? chunk : chunk.subarray(skip);
      skip = Math.max(0, skip - chunk.length);
    }
  }

  clear(): void {
    this.drop(this.#size);
  }
}
