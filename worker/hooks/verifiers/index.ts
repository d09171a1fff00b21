import type { VerifierRecord } from "../../routes.ts";
import type { Verifier } from "../check.ts";
import { GITHUB, hmac, SHOPIFY } from "./hmac.ts";
import { slack } from "./slack.ts";
import { standardWebhooks } from "./standard-webhooks.ts";
import { stripe } from "./stripe.ts";
import { twilio } from "./twilio.ts";

/**
 * A route's verifier.
 * @param keys of its secrets
 * @throws Error for a kind that this version doesn't know
 */
export function verifierOf(record: VerifierRecord, keys: readonly Uint8Array<ArrayBuffer>[]): Verifier {
  if (record.type === "none") return () => null;
  // Without a key nothing would be proven.
  if (keys.length === 0) throw new Error("the verifier has no secret");
  switch (record.type) {
    case "standard-webhooks":
      return standardWebhooks(keys);
    case "stripe":
      return stripe(keys);
    case "github":
      return hmac(GITHUB, keys);
    case "slack":
      return slack(keys);
    case "shopify":
      return hmac(SHOPIFY, keys);
    case "twilio":
      return twilio(keys);
    case "hmac":
      return hmac(record, keys);
    default:
      throw new Error(`the verifier ${(record as { type: string }).type} is not known`);
  }
}
