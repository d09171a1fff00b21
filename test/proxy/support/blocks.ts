import { createHash } from "node:crypto";

const BLOCK_BYTES = 65_536;

/** So many bytes, each block of them with its number at its head: nothing that is lost, doubled or swapped goes unseen. */
export function* blocks(bytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes; at += BLOCK_BYTES) {
    const block = Buffer.alloc(Math.min(BLOCK_BYTES, bytes - at), at / BLOCK_BYTES + 1);
    if (block.length >= 8) block.writeBigUInt64BE(BigInt(at));
    yield block;
  }
}

/** SHA-256 of them, in hex. */
export function blocksHash(bytes: number): string {
  const hash = createHash("sha256");
  for (const block of blocks(bytes)) hash.update(block);
  return hash.digest("hex");
}
