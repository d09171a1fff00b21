import { TOLD_BYTES_MIN } from "./limits.ts";

const LINE_FEED = 0x0a;

/**
 * Entries that are told together, as the body of their message: they wait for a while, and texts that wait would be copied to the old generation
 * of V8's heap.
 *
 * @example
 * const entries = new ToldEntries();
 * entries.add("\nshop AAECAwQFBgcICQoLDA0ODw 0 AAECAwQFBgc", 1);
 * entries.body(); // "shop AAECAwQFBgcICQoLDA0ODw 0 AAECAwQFBgc\n"
 */
export class ToldEntries {
  #bytes: Buffer<ArrayBuffer> | undefined;
  #length = 0;
  #count = 0;

  /** @param bytes what others were written to, and nobody has any more */
  constructor(bytes?: Buffer<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  get count(): number {
    return this.#count;
  }

  /** @param text lines, each behind a line feed, in ASCII */
  add(text: string, count: number): void {
    const bytes = this.#withRoom(text.length + 1);
    this.#length += bytes.write(text, this.#length, "latin1");
    this.#count += count;
  }

  /** Lines, each with a line feed behind it. More may be added; what was given stays as it is. */
  body(): Uint8Array<ArrayBuffer> {
    if (this.#bytes === undefined || this.#length === 0) return new Uint8Array();
    this.#bytes[this.#length] = LINE_FEED;
    return this.#bytes.subarray(1, this.#length + 1);
  }

  /** What they were written to, for others: nobody has its body any more. */
  release(): Buffer<ArrayBuffer> | undefined {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    this.#length = 0;
    return bytes;
  }

  #withRoom(more: number): Buffer<ArrayBuffer> {
    const before = this.#bytes;
    const length = this.#length + more;
    if (before !== undefined && length <= before.length) return before;
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(TOLD_BYTES_MIN, 2 * length));
    before?.copy(this.#bytes, 0, 0, this.#length);
    return this.#bytes;
  }
}
