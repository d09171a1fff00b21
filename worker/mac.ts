import { RunningDigest } from "./digest.ts";

/** The hashes that providers sign with, and their blocks' bytes (FIPS 180-4). */
const BLOCK_BYTES = { "SHA-1": 64, "SHA-256": 64, "SHA-512": 128 } as const;

/** A hash that an HMAC is made with. */
export type MacHash = keyof typeof BLOCK_BYTES;

/**
 * An HMAC (RFC 2104) over a message that arrives in pieces: WebCrypto takes only a whole one, and one of 25 MB is not held.
 *
 * @example
 * const mac = await Mac.begin("SHA-256", key);
 * for await (const chunk of body) await mac.write(chunk);
 * const bytes = await mac.end(); // 32 of them
 */
export class Mac {
  readonly #hash: MacHash;
  readonly #outer: Uint8Array<ArrayBuffer>;
  readonly #inner: RunningDigest;

  private constructor(hash: MacHash, outer: Uint8Array<ArrayBuffer>) {
    this.#hash = hash;
    this.#outer = outer;
    this.#inner = new RunningDigest(hash);
  }

  static async begin(hash: MacHash, key: Uint8Array<ArrayBuffer>): Promise<Mac> {
    const block = new Uint8Array(BLOCK_BYTES[hash]);
    block.set(key.length > block.length ? new Uint8Array(await crypto.subtle.digest(hash, key)) : key);
    const mac = new Mac(
      hash,
      block.map((byte) => byte ^ 0x5c),
    );
    await mac.write(block.map((byte) => byte ^ 0x36));
    return mac;
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#inner.write(bytes);
  }

  async end(): Promise<Uint8Array<ArrayBuffer>> {
    const inner = await this.#inner.end();
    const outer = new Uint8Array(this.#outer.length + inner.length);
    outer.set(this.#outer);
    outer.set(inner, this.#outer.length);
    return new Uint8Array(await crypto.subtle.digest(this.#hash, outer));
  }
}
