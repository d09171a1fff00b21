import type { MacHash } from "../../mac.ts";
import type { VerifierRecord } from "../../routes.ts";
import { needed, signaturesIn, type Verifier } from "../check.ts";

/** How a signature over the body alone is written into a field. */
export type HmacForm = Pick<
  Extract<VerifierRecord, { type: "hmac" }>,
  "header" | "prefix" | "hash" | "encoding"
>;

const HASHES: Readonly<Record<HmacForm["hash"], MacHash>> = {
  sha1: "SHA-1",
  sha256: "SHA-256",
  sha512: "SHA-512",
};

/** GitHub: `X-Hub-Signature-256: sha256=<hex>`. */
export const GITHUB: HmacForm = {
  header: "x-hub-signature-256",
  prefix: "sha256=",
  hash: "sha256",
  encoding: "hex",
};

/** Shopify: `X-Shopify-Hmac-SHA256: <base64>`. */
export const SHOPIFY: HmacForm = { header: "x-shopify-hmac-sha256", hash: "sha256", encoding: "base64" };

/** An HMAC of the body in one field, which signs no time: what was listened to can be repeated at any time. */
export function hmac(
  { header, prefix = "", hash, encoding }: HmacForm,
  keys: readonly Uint8Array<ArrayBuffer>[],
): Verifier {
  // A hash that isn't known is undefined, and must not come to be one that is weaker.
  const macHash = HASHES[hash] as MacHash | undefined;
  if (macHash === undefined) throw new Error("the hash is not known");
  return (head) => {
    const field = needed(head, header);
    return {
      macs: keys.map((key) => ({ hash: macHash, key, before: new Uint8Array() })),
      over: "body",
      signatures: signaturesIn(field.startsWith(prefix) ? [field.slice(prefix.length)] : [], encoding),
    };
  };
}
