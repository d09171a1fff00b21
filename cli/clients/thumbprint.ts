import { createHash } from "node:crypto";
import type { ClientJwk } from "./record.ts";

/** What names a key (RFC 7638): the SHA-256 of its required members, in their names' order. */
export function thumbprintOf({ kty, crv, x, y }: ClientJwk): string {
  const members = { crv, kty, x, ...(kty === "EC" && { y }) };
  return createHash("sha256").update(JSON.stringify(members)).digest("base64url");
}
