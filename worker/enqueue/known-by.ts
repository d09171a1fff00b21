import { base64url } from "jose";
import type { RequestClaims } from "../../protocol/claims.ts";

/** What a request is known by when it comes again: the key that its client gave it, or else its token, which may be sent twice. */
export function knownBy({ jti, delivery }: Pick<RequestClaims, "jti" | "delivery">): string {
  const key = delivery?.key;
  return key === undefined ? `token:${jti}` : `key:${key}`;
}

/** What two requests have in common that are the same one. */
export async function likenessOf(method: string, url: string, digest: string): Promise<string> {
  const text = JSON.stringify([method, url, digest]);
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return base64url.encode(new Uint8Array(hash));
}
