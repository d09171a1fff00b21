import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import type { GrantVerifier } from "../protocol/grants.ts";

/** What a node checks its grants by. @param bytes a derived key, 32 bytes */
export function grantVerifier(bytes: Uint8Array): GrantVerifier {
  const key = createSecretKey(bytes);
  return {
    verifies(text, mac) {
      const due = createHmac("sha256", key).update(text).digest();
      const came = Buffer.from(mac, "base64url");
      return came.length === due.length && timingSafeEqual(came, due);
    },
  };
}
