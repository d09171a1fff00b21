/** How a delivery ended, as its callback tells it. */
export interface Outcome {
  /** `delivery.delivered` or `delivery.dead`. */
  readonly type: string;
  /** The delivery's. The callback itself has another one, `webhook-id`, the same at each attempt. */
  readonly id: string;
  readonly state: "delivered" | "dead";
  /** The target's last word; null where the last attempt had none. */
  readonly status: number | null;
  readonly reason: string | null;
}

/** How old a callback may be, in seconds. */
const TOLERANCE_SECONDS = 300;

/**
 * Proves that a callback is the relay's: Standard Webhooks, `v1a`, by nothing but Web APIs.
 *
 * @param edge the relay's origin, which HOLDFAST_URL names
 * @throws Error where it isn't
 * @example export default { fetch: async (request) => { const { id, state } = await verifyCallback(request, edge); … } };
 */
export async function verifyCallback(request: Request, edge: string): Promise<Outcome> {
  const body = new Uint8Array(await request.arrayBuffer());
  const field = (name: string) => request.headers.get(`webhook-${name}`) ?? "";
  const [id, timestamp, signatures] = [field("id"), field("timestamp"), field("signature")];
  if (!(Math.abs(Date.now() / 1_000 - Number(timestamp)) <= TOLERANCE_SECONDS)) throw new Error("it is old");
  const signed = await new Blob([`${id}.${timestamp}.`, body]).arrayBuffer();
  // It changes seldom: keep it for five minutes.
  const { keys } = (await (await fetch(`${edge}/.well-known/jwks.json`)).json()) as { keys: JsonWebKey[] };
  for (const jwk of keys) {
    const key = await crypto.subtle.importKey("jwk", jwk, "Ed25519", false, ["verify"]);
    for (const one of signatures.split(" ")) {
      if (!one.startsWith("v1a,")) continue;
      const signature = Uint8Array.from(atob(one.slice(4)), (character) => character.charCodeAt(0));
      if (await crypto.subtle.verify("Ed25519", key, signature, signed)) {
        return JSON.parse(new TextDecoder().decode(body)) as Outcome;
      }
    }
  }
  throw new Error("the relay didn't sign it");
}
