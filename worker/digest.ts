import { joinBytes } from "./join-bytes.ts";
import { HELD_BODY_BYTES } from "./limits.ts";

/** The hashes that are made over what arrives in pieces. */
export type DigestHash = "SHA-1" | "SHA-256" | "SHA-512";

/** As much is kept and hashed in one go, which costs a fraction of what a stream does: with what stands before a held body. */
const KEPT_BYTES = HELD_BODY_BYTES + 4_096;

/** A hash over what arrives in pieces: WebCrypto takes only a whole one, and a body of 25 MB is not held. */
export class RunningDigest {
  readonly #hash: DigestHash;
  #kept: Uint8Array<ArrayBuffer>[] = [];
  #size = 0;
  #stream: DigestWriter | undefined;

  constructor(hash: DigestHash) {
    this.#hash = hash;
  }

  /** @param bytes which nobody changes any more */
  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#size += bytes.length;
    if (this.#stream === undefined) {
      this.#kept.push(bytes);
      if (this.#size <= KEPT_BYTES) return;
      this.#stream = new DigestWriter(this.#hash);
      for (const piece of this.#kept) await this.#stream.write(piece);
      this.#kept = [];
    } else {
      await this.#stream.write(bytes);
    }
  }

  async end(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#stream !== undefined) return this.#stream.end();
    return new Uint8Array(await crypto.subtle.digest(this.#hash, joinBytes(this.#kept, this.#size)));
  }
}

class DigestWriter {
  readonly #digest: Promise<ArrayBuffer>;
  readonly #writer: WritableStreamDefaultWriter<ArrayBufferView | ArrayBuffer>;

  constructor(hash: DigestHash) {
    const stream = new crypto.DigestStream(hash);
    this.#digest = stream.digest;
    // It is waited for where it is used.
    this.#digest.catch(() => {});
    this.#writer = stream.getWriter();
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#writer.write(bytes);
  }

  async end(): Promise<Uint8Array<ArrayBuffer>> {
    await this.#writer.close();
    return new Uint8Array(await this.#digest);
  }
}
