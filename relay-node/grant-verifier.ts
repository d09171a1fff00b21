import { hash, timingSafeEqual } from "node:crypto";
import type { GrantVerifier } from "../protocol/grants.ts";
import { GRANT_MAX_BYTES, PROXY_GRANT_MAX_BYTES } from "../protocol/limits.ts";

const BLOCK_BYTES = 64;
const MAC_BYTES = 32;
const TEXT_MAX_BYTES = Math.max(GRANT_MAX_BYTES, PROXY_GRANT_MAX_BYTES);

/**
 * What a node checks its grants by: HMAC with SHA-256 (RFC 2104) in two hashes. An Hmac object of Node's takes several times as long to
 * be made as both of them together.
 *
 * @param bytes a derived key, 32 bytes
 */
export function grantVerifier(bytes: Uint8Array): GrantVerifier {
  if (bytes.length > BLOCK_BYTES) throw new Error("a grant key is longer than a block of SHA-256");
  const inner = Buffer.alloc(BLOCK_BYTES + TEXT_MAX_BYTES, 0x36);
  const outer = Buffer.alloc(BLOCK_BYTES + MAC_BYTES, 0x5c);
  for (const [i, byte] of bytes.entries()) {
    inner[i]! ^= byte;
    outer[i]! ^= byte;
  }
  return {
    verifies(text, mac) {
      // What has other characters than a JWS, or is longer, is none of the edge's.
      if (text.length > TEXT_MAX_BYTES) return false;
      const length = BLOCK_BYTES + inner.write(text, BLOCK_BYTES, "latin1");
      outer.set(hash("sha256", inner.subarray(0, length), "buffer"), BLOCK_BYTES);
      const due = hash("sha256", outer, "buffer");
      const came = Buffer.from(mac, "base64url");
      return came.length === MAC_BYTES && timingSafeEqual(came, due);
    },
  };
}
