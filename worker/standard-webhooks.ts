import { base64 } from "./base64.ts";
import { Mac } from "./mac.ts";

/** Standard Webhooks (standardwebhooks.com): what the relay signs of its own is signed by this. */

/** A body that is read as often as is asked. */
interface Chunks {
  chunks(): Iterable<Uint8Array<ArrayBuffer>>;
}

/** What stands before the body in what is signed. */
export function beforeBody(id: string, timestamp: number | string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(`${id}.${timestamp}.`));
}

/**
 * `v1,…` by each of some secrets, in one reading of the body.
 * @example await signaturesV1(keys, beforeBody("msg_1", 1_700_000_000), body) // ["v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="]
 */
export async function signaturesV1(
  keys: readonly Uint8Array<ArrayBuffer>[],
  before: Uint8Array<ArrayBuffer>,
  body: Chunks,
): Promise<string[]> {
  const macs = await Promise.all(keys.map((key) => Mac.begin("SHA-256", key)));
  for (const mac of macs) await mac.write(before);
  for (const chunk of body.chunks()) for (const mac of macs) await mac.write(chunk);
  return Promise.all(macs.map(async (mac) => `v1,${base64(await mac.end())}`));
}

/** `v1a,…`: Ed25519, which takes a message whole. */
export async function signatureV1a(
  key: CryptoKey,
  before: Uint8Array<ArrayBuffer>,
  body: Chunks,
): Promise<string> {
  const message = await new Blob([before, ...body.chunks()]).arrayBuffer();
  return `v1a,${base64(new Uint8Array(await crypto.subtle.sign("Ed25519", key, message)))}`;
}
