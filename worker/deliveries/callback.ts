import type { DeliveryDetail } from "../../protocol/deliveries.ts";
import { encodeSection } from "../../protocol/envelope.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { digestOf } from "../../protocol/tokens.ts";
import type { Edge } from "../edge.ts";
import { UnsealError } from "../sealing.ts";
import type { MakeCallback } from "./attempt-result.ts";
import { newDeliveryId, placeOfId } from "./places.ts";
import { callbackPlace, sealRequest } from "./seal-request.ts";

/** Posts as the client's own; what signs it, at each attempt, is the edge's key. */
const FIELDS = encodeSection([["content-type", "application/json"]]);

/** How a store tells of what ended: by a delivery of its own, which no callback tells of. */
export function callbackBy(edge: Edge): MakeCallback {
  return async (ended, detail) => {
    const place = placeOfId(ended.owner, ended.id);
    if (ended.callback === null || place === undefined) return null;
    const sealing = await edge.sealing();
    let url: string;
    try {
      url = await sealing.open(ended.callback, callbackPlace(ended.id));
    } catch (error) {
      if (error instanceof UnsealError && error.reason === "data") return null;
      throw error;
    }
    const id = newDeliveryId(place);
    const body = Uint8Array.from(new TextEncoder().encode(JSON.stringify(outcomeOf(detail))));
    const event = {
      id,
      owner: ended.owner,
      kind: "callback",
      client: ended.client,
      method: "POST",
      origin: parseTargetUrl(url).origin,
      request: await sealRequest(id, url, FIELDS, sealing),
      digest: await digestOf(body),
      size: body.length,
      dedupe: null,
      likeness: null,
      lane: null,
      schedule: null,
      callback: null,
    } as const;
    return { event, body };
  };
}

/** What a callback says: all that is known of the delivery, and the status that ended it. */
function outcomeOf(detail: DeliveryDetail): object {
  return { type: `delivery.${detail.state}`, status: detail.attempts.at(-1)?.status ?? null, ...detail };
}
