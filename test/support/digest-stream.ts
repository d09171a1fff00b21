import { createHash } from "node:crypto";

/** What workerd has and Node doesn't: a hash over what is written. */
class DigestStream extends WritableStream<Uint8Array> {
  readonly digest: Promise<ArrayBuffer>;

  constructor(hash: string) {
    const made = createHash(hash.replace("-", "").toLowerCase());
    const digest = Promise.withResolvers<ArrayBuffer>();
    super({
      write: (bytes) => void made.update(bytes),
      close: () => digest.resolve(Uint8Array.from(made.digest()).buffer),
      abort: (reason) => digest.reject(reason as Error),
    });
    this.digest = digest.promise;
  }
}

declare global {
  interface Crypto {
    readonly DigestStream: typeof DigestStream;
  }
}

/** Lets code of the worker's that hashes streams run here. */
export function provideDigestStream(): void {
  Object.defineProperty(crypto, "DigestStream", { value: DigestStream, configurable: true });
}
