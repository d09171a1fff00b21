import { abortable } from "../protocol/abort.ts";
import { DELIVERY_ID, DELIVERY_STATES, type DeliveryDetail } from "../protocol/deliveries.ts";
import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { askEdge } from "./edge-call.ts";
import type { EnqueueSettings } from "./enqueue.ts";
import { DELIVERY_DETAIL_MAX_BYTES, REQUEST_TOKEN_SECONDS } from "./limits.ts";
import { attempted, type SignRequest } from "./signer.ts";

/** How a delivery is asked about. */
export interface DeliveryAsk {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks how a delivery of the client's own is.
 *
 * @throws RelayError as the edge answered, `delivery_unknown` among them; `request_invalid`, `edge_unreachable`, `edge_failed`,
 *   `answer_invalid`; or the signal's reason
 */
export async function delivery(
  id: string,
  { signal }: DeliveryAsk,
  settings: EnqueueSettings,
): Promise<DeliveryDetail> {
  if (!DELIVERY_ID.test(id)) {
    throw new RelayError("request_invalid", "that is no delivery's id: dlv_ and 23 characters behind it");
  }
  return detailIn(await attempted(settings, (sign) => ask(id, sign, signal, settings)), id);
}

async function ask(
  id: string,
  sign: SignRequest,
  signal: AbortSignal | undefined,
  { edge, clientId, now, underlying }: EnqueueSettings,
): Promise<string> {
  const iat = Math.floor(now() / 1_000);
  const path = `/deliveries/${id}`;
  const signing = sign({
    iss: clientId,
    aud: edge,
    act: "delivery",
    iat,
    exp: iat + REQUEST_TOKEN_SECONDS,
    jti: newRequestId(),
    htm: "GET",
    url: `${edge}${path}`,
  });
  const token = await abortable(signing, signal);
  const init = {
    headers: { [WIRE.authorization]: `Bearer ${token}` },
    ...(signal !== undefined && { signal }),
  };
  const failure = () => (signal?.aborted === true ? (signal.reason as unknown) : undefined);
  return askEdge(
    { edge, path, init, maxBytes: DELIVERY_DETAIL_MAX_BYTES, reached: "no", failure },
    underlying(),
  );
}

/** @throws RelayError `answer_invalid` */
function detailIn(text: string, id: string): DeliveryDetail {
  try {
    const detail = JSON.parse(text) as Partial<DeliveryDetail>;
    if (detail.id === id && DELIVERY_STATES.some((state) => state === detail.state)) {
      return detail as DeliveryDetail;
    }
  } catch {
    // Told below.
  }
  throw new RelayError("answer_invalid", "the edge's answer is not about this delivery", { reached: "no" });
}
