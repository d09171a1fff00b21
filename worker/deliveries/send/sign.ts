import type { Field } from "../../../protocol/headers.ts";
import type { BoundKey } from "../../../protocol/keys.ts";
import { beforeBody, signaturesV1, signatureV1a } from "../../standard-webhooks.ts";
import type { StoredBody } from "../attempt-result.ts";

/** What signs a delivery by Standard Webhooks: a route's secrets, of which there may be none, or the edge itself. */
export type Signing = readonly Uint8Array<ArrayBuffer>[] | "edge";

/** The fields of a request as they are stored, and what they are to be signed by. */
export interface Unsigned {
  readonly fields: readonly Field[];
  readonly signing: Signing;
}

/** Fields of Standard Webhooks, by both of their names: what was signed by another's secret is not passed along beside ours. */
const REPLACED = /^(?:webhook|svix)-(?:id|timestamp|signature)$/i;

/** What can be signed as text and sent as a field alike. */
const PLAIN = /^[\x21-\x7e]+$/;

/**
 * The fields of one attempt: as they were stored, and signed anew where that is asked for.
 * @param id the delivery's
 * @param now seconds since 1970
 */
export async function signedFields(
  { fields, signing }: Unsigned,
  id: string,
  body: StoredBody,
  edge: { signingKey(): Promise<BoundKey> },
  now: number,
): Promise<readonly Field[]> {
  if (signing.length === 0) return fields;
  const messageId = signing === "edge" ? id : idOf(fields, id);
  const before = beforeBody(messageId, now);
  const signatures =
    signing === "edge"
      ? [await signatureV1a((await edge.signingKey()).key, before, body)]
      : await signaturesV1(signing, before, body);
  return [
    ...fields.filter(([name]) => !REPLACED.test(name)),
    ["webhook-id", messageId],
    ["webhook-timestamp", String(now)],
    ["webhook-signature", signatures.join(" ")],
  ];
}

/** The provider's own id of the message, by which a receiver knows it again whichever way it came. */
function idOf(fields: readonly Field[], id: string): string {
  for (const wanted of ["webhook-id", "svix-id"]) {
    const found = fields.find(([name]) => name.toLowerCase() === wanted)?.[1];
    if (found !== undefined && PLAIN.test(found)) return found;
  }
  return id;
}
