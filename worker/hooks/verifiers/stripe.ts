import { expectRecent, needed, signaturesIn, unsigned, utf8, type Verifier } from "../check.ts";

/** Stripe: `Stripe-Signature: t=<seconds>,v1=<hex>,v1=<hex>,v0=…` over `<seconds>.<body>`. */
export function stripe(keys: readonly Uint8Array<ArrayBuffer>[]): Verifier {
  return (head, nowMs) => {
    const items = needed(head, "stripe-signature").split(",");
    const valuesOf = (name: string) =>
      items.flatMap((item) => {
        const text = item.trim();
        return text.startsWith(`${name}=`) ? [text.slice(name.length + 1)] : [];
      });
    const [timestamp, ...others] = valuesOf("t");
    if (timestamp === undefined || others.length > 0) {
      throw unsigned("has a stripe-signature without its one t=");
    }
    expectRecent(timestamp, nowMs);
    const before = utf8(`${timestamp}.`);
    return {
      macs: keys.map((key) => ({ hash: "SHA-256", key, before })),
      over: "body",
      signatures: signaturesIn(valuesOf("v1"), "hex"),
    };
  };
}
