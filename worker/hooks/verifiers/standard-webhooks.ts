import { type CallHead, expectRecent, needed, signaturesIn, utf8, type Verifier } from "../check.ts";

/**
 * Standard Webhooks: `webhook-signature: v1,<base64> v1,<base64>` over `<id>.<timestamp>.<body>`. Its elder names, which begin
 * with `svix-`, mean the same.
 */
export function standardWebhooks(keys: readonly Uint8Array<ArrayBuffer>[]): Verifier {
  return (head, nowMs) => {
    const prefix = prefixOf(head);
    const id = needed(head, `${prefix}-id`);
    const timestamp = needed(head, `${prefix}-timestamp`);
    const field = needed(head, `${prefix}-signature`);
    expectRecent(timestamp, nowMs);
    // Other versions, as v1a, are for keys of another kind.
    const texts = field.split(" ").flatMap((one) => (one.startsWith("v1,") ? [one.slice(3)] : []));
    const before = utf8(`${id}.${timestamp}.`);
    return {
      macs: keys.map((key) => ({ hash: "SHA-256", key, before })),
      over: "body",
      signatures: signaturesIn(texts, "base64"),
    };
  };
}

function prefixOf({ headers }: CallHead): string {
  return headers.get("webhook-id") === null && headers.get("svix-id") !== null ? "svix" : "webhook";
}
