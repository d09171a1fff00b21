import { base64 } from "../../base64.ts";
import { errorFromProblem, type RelayError } from "../../../protocol/errors.ts";
import { WIRE } from "../../../protocol/headers.ts";
import { DELIVERY_ANSWER_BYTES } from "../../../protocol/limits.ts";
import { verifyReceipt } from "../../../protocol/receipts.ts";
import { headOf } from "../../answers.ts";
import type { Authorized } from "../../authorize.ts";
import type { Edge } from "../../edge.ts";
import { parseTargetUrl } from "../../../protocol/targets.ts";
import type { AttemptResult } from "../attempt-result.ts";
import { resultOfError } from "./failure.ts";
import { retryAfterOf } from "./retry-after.ts";

/**
 * What an attempt came to by a node's answer.
 * @param nowMs milliseconds since 1970
 */
export async function resultOfAnswer(
  answer: Response,
  authorized: Authorized,
  edge: Edge,
  nowMs: number,
): Promise<AttemptResult> {
  const node = answer.headers.get(WIRE.node);
  if (answer.headers.has(WIRE.error)) {
    return resultOfError(await errorOf(answer), { node, egress: answer.headers.get(WIRE.egress) });
  }
  const { status, fields } = await headOf(answer);
  const egress = await provenEgress(answer, status, authorized, edge);
  const { bytes, isCut } = await firstBytes(answer.body, DELIVERY_ANSWER_BYTES);
  return {
    kind: "answered",
    answer: { status, body: base64(bytes), isCut },
    retryAfter: retryAfterOf(fields, nowMs),
    node,
    egress,
  };
}

async function errorOf(answer: Response): Promise<RelayError> {
  return errorFromProblem(answer.headers.get(WIRE.error)!, await answer.text(), answer.headers);
}

/** The address that the target saw, as its node signs it; null where that doesn't hold. */
async function provenEgress(
  { headers }: Response,
  status: number,
  { client, claims: { jti, htm, url } }: Authorized,
  edge: Edge,
): Promise<string | null> {
  const node = headers.get(WIRE.node) ?? "";
  const key = (await edge.nodeKeys()).get(node);
  try {
    const { egress } = await verifyReceipt(headers.get(WIRE.receipt), {
      node,
      keys: key === undefined ? [] : [key],
      edge: edge.config.origin,
      clientId: client.id,
      jti,
      method: htm,
      target: parseTargetUrl(url).authority,
      status,
    });
    return egress;
  } catch (error) {
    console.error(`deliveries: the receipt of ${node.slice(0, 64)} does not hold`, error);
    return null;
  }
}

/** The beginning of a body. One that breaks off, or takes too long, is what came of it. */
async function firstBytes(
  body: ReadableStream | null,
  maxBytes: number,
): Promise<{ readonly bytes: Uint8Array; readonly isCut: boolean }> {
  const bytes = new Uint8Array(maxBytes);
  if (body === null) return { bytes: new Uint8Array(), isCut: false };
  let size = 0;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const kept = part.value.subarray(0, maxBytes - size);
      bytes.set(kept, size);
      size += kept.length;
      if (kept.length < part.value.length) return { bytes, isCut: true };
    }
    return { bytes: bytes.subarray(0, size), isCut: false };
  } catch {
    return { bytes: bytes.subarray(0, size), isCut: true };
  } finally {
    reader.cancel().catch(() => {});
  }
}
