import type { VerifierRecord } from "../routes.ts";
import type { KeyRule } from "./key-rule.ts";

const header = (...names: string[]): KeyRule => ({ from: "header", names });

/**
 * Where each provider puts the id of its event, which stays the same when it sends it again; undefined where nobody knows.
 *
 * Shopify gives all webhooks of one event the same id, of whatever topic, so that it is one event's only together with its topic.
 */
export const PROVIDER_IDS: Readonly<Record<VerifierRecord["type"], KeyRule | undefined>> = {
  "standard-webhooks": header("webhook-id", "svix-id"),
  stripe: { from: "json", pointer: ["id"] },
  github: header("x-github-delivery"),
  slack: { from: "json", pointer: ["event_id"] },
  shopify: {
    from: "header",
    names: ["x-shopify-event-id", "x-shopify-webhook-id"],
    scope: "x-shopify-topic",
  },
  twilio: header("i-twilio-idempotency-token"),
  hmac: undefined,
  none: undefined,
};
