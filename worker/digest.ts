/** A hash over what arrives in pieces: WebCrypto takes only a whole one, and a body of 25 MB is not held. */
export class RunningDigest {
  readonly #digest: Promise<ArrayBuffer>;
  readonly #writer: WritableStreamDefaultWriter<ArrayBufferView | ArrayBuffer>;

  constructor(hash: "SHA-1" | "SHA-256" | "SHA-512") {
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
