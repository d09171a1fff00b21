import { expectRecent, needed, signaturesIn, utf8, type Verifier } from "../check.ts";

const PREFIX = "v0=";

/** Slack: `X-Slack-Signature: v0=<hex>` over `v0:<seconds>:<body>`. */
export function slack(keys: readonly Uint8Array<ArrayBuffer>[]): Verifier {
  return (head, nowMs) => {
    const timestamp = needed(head, "x-slack-request-timestamp");
    const field = needed(head, "x-slack-signature");
    expectRecent(timestamp, nowMs);
    const before = utf8(`v0:${timestamp}:`);
    return {
      macs: keys.map((key) => ({ hash: "SHA-256", key, before })),
      over: "body",
      signatures: signaturesIn(field.startsWith(PREFIX) ? [field.slice(PREFIX.length)] : [], "hex"),
    };
  };
}

/**
 * What Slack asks for when a URL is entered, to be answered with; undefined where it asks for nothing.
 * @param body of a call that is proven
 */
export function challengeOf(body: Uint8Array): string | undefined {
  let asked: unknown;
  try {
    asked = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
  const { type, challenge } = (asked ?? {}) as { type?: unknown; challenge?: unknown };
  return type === "url_verification" && typeof challenge === "string" ? challenge : undefined;
}
