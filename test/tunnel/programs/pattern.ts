import { createHash, randomFillSync } from "node:crypto";

/** Bytes that look random and are made for next to nothing: one block again and again, each time with its number in front. */

const BLOCK_BYTES = 262_144;

/** Yields `bytes` of them; no two blocks are alike, so that a lost, doubled or swapped one shows in a hash. */
export function* pattern(bytes: number): Generator<Buffer> {
  const noise = randomFillSync(Buffer.allocUnsafe(BLOCK_BYTES));
  let left = bytes;
  for (let number = 0; left > 0; number++) {
    const block = Buffer.from(noise.subarray(0, Math.min(left, BLOCK_BYTES)));
    if (block.length >= 4) block.writeUInt32BE(number, 0);
    left -= block.length;
    yield block;
  }
}

/** A SHA-256 that grows with a stream. */
export class Digest {
  readonly #hash = createHash("sha256");
  #bytes = 0;

  add(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** So far, in hex. */
  get hex(): string {
    return this.#hash.copy().digest("hex");
  }
}
