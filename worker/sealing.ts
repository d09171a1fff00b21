import { base64url } from "jose";

/** What was sealed can't be opened: `key` where no configured key is the one that sealed it, `data` where it was changed. */
export class UnsealError extends Error {
  override readonly name = "UnsealError";
  readonly reason: "key" | "data";

  constructor(reason: "key" | "data", options?: ErrorOptions) {
    super(
      reason === "key" ? "no key of STORAGE_KEYS sealed it" : "it was changed, or stands elsewhere",
      options,
    );
    this.reason = reason;
  }
}

interface SealingKey {
  readonly id: string;
  readonly key: CryptoKey;
}

const IV_BYTES = 12;

/**
 * Seals what must be secret at rest (AES-256-GCM), bound to the place where it is kept: moved elsewhere, it can't be opened.
 *
 * @example
 * const sealing = await Sealing.with(config.storageKeys);
 * const sealed = await sealing.seal("whsec_…", "route stripe-orders");
 * await sealing.open(sealed, "route stripe-orders");
 */
export class Sealing {
  readonly #keys: readonly SealingKey[];

  private constructor(keys: readonly SealingKey[]) {
    this.#keys = keys;
  }

  /** @param secrets of 32 bytes each; the first one seals, all of them open */
  static async with(secrets: readonly Uint8Array<ArrayBuffer>[]): Promise<Sealing> {
    return new Sealing(await Promise.all(secrets.map((secret) => sealingKey(secret))));
  }

  /** Whether there is a key to seal with. */
  get canSeal(): boolean {
    return this.#keys.length > 0;
  }

  /** @param place what it belongs to, for instance a delivery's id */
  async seal(text: string, place: string): Promise<string> {
    const [current] = this.#keys;
    if (current === undefined) throw new UnsealError("key");
    const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
    const sealed = await crypto.subtle.encrypt(
      { name: "AES-GCM", iv, additionalData: utf8(place) },
      current.key,
      utf8(text),
    );
    return `${current.id}.${base64url.encode(iv)}.${base64url.encode(new Uint8Array(sealed))}`;
  }

  /** @throws UnsealError */
  async open(sealed: string, place: string): Promise<string> {
    const [id, iv, data, ...more] = sealed.split(".");
    if (id === undefined || iv === undefined || data === undefined || more.length > 0) {
      throw new UnsealError("data");
    }
    const known = this.#keys.find((one) => one.id === id);
    if (known === undefined) throw new UnsealError("key");
    try {
      const opened = await crypto.subtle.decrypt(
        { name: "AES-GCM", iv: Uint8Array.from(base64url.decode(iv)), additionalData: utf8(place) },
        known.key,
        Uint8Array.from(base64url.decode(data)),
      );
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(opened);
    } catch (cause) {
      throw new UnsealError("data", { cause });
    }
  }
}

async function sealingKey(secret: Uint8Array<ArrayBuffer>): Promise<SealingKey> {
  const material = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey", "deriveBits"]);
  const derived = (info: string) => ({
    name: "HKDF",
    hash: "SHA-256",
    salt: new Uint8Array(),
    info: utf8(`holdfast storage ${info}`),
  });
  const key = await crypto.subtle.deriveKey(
    derived("key"),
    material,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
  return {
    id: base64url.encode(new Uint8Array(await crypto.subtle.deriveBits(derived("id"), material, 48))),
    key,
  };
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(text));
}
