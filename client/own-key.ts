import { importPrivateKey, readPrivateKey, type SigningKey } from "../protocol/keys.ts";
import { nodeCrypto } from "./platforms/environment.ts";

/**
 * The key in a client's URL, as this runtime signs with it soonest. Node's WebCrypto does both by other threads and promises, which a
 * call that has just been begun waits for: its own crypto signs by Ed25519 at once.
 *
 * @throws RelayError `request_invalid`; the message never holds the key
 */
export async function ownKey(text: string): Promise<SigningKey> {
  const crypto = nodeCrypto();
  if (crypto === undefined) return importPrivateKey(text);
  const { alg, der } = readPrivateKey(text);
  // OpenSSL takes a scalar of P-256 that is none, and fails when it signs.
  if (alg !== "Ed25519") return importPrivateKey(text);
  const key = crypto.createPrivateKey({ key: der as Buffer, format: "der", type: "pkcs8" });
  der.fill(0);
  return { alg, key: (bytes) => crypto.sign(null, bytes, key) };
}
