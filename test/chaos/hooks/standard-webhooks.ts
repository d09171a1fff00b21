import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** Standard Webhooks, written anew from its text: what the relay's own code takes and makes is proven by another one's. */

/** Its three fields over these bytes. @param secret `whsec_…` */
export function signed(
  secret: string,
  id: string,
  body: Uint8Array,
  seconds = Math.floor(Date.now() / 1_000),
): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": `v1,${mac(secret, id, String(seconds), body).toString("base64")}`,
  };
}

const TOLERANCE_SECONDS = 60;

/** Whether the fields are right for these bytes, and fresh. */
export function isSigned(secret: string, fields: IncomingHttpHeaders, body: Uint8Array): boolean {
  const [id, timestamp, signature] = ["id", "timestamp", "signature"].map((name) =>
    [fields[`webhook-${name}`]].flat().join(),
  ) as [string, string, string];
  if (!(Math.abs(Date.now() / 1_000 - Number(timestamp)) < TOLERANCE_SECONDS)) return false;
  const expected = mac(secret, id, timestamp, body);
  return signature.split(" ").some((one) => {
    const given = Buffer.from(one.startsWith("v1,") ? one.slice(3) : "", "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

function mac(secret: string, id: string, timestamp: string, body: Uint8Array): Buffer {
  return createHmac("sha256", Buffer.from(secret.replace("whsec_", ""), "base64"))
    .update(`${id}.${timestamp}.`)
    .update(body)
    .digest();
}
