import { abortable } from "../protocol/abort.ts";
import type { RequestClaims } from "../protocol/claims.ts";
import {
  type Accepted,
  DELIVERY_ID,
  type DeliveryOptions,
  isDeliveryOptions,
} from "../protocol/deliveries.ts";
import { encodeSection, sectionToWire } from "../protocol/envelope.ts";
import { type ErrorCode, isRelayError, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { parseTargetUrl } from "../protocol/targets.ts";
import { bodyKind } from "./body.ts";
import { askEdge } from "./edge-call.ts";
import { relayedFields } from "./fields.ts";
import { ACCEPTED_MAX_BYTES, ENQUEUE_WAITS_MS, REQUEST_TOKEN_SECONDS } from "./limits.ts";
import { readRequest } from "./request.ts";
import { attempted, type ClientSigner } from "./signer.ts";
import { attachBody, type Call, type Fetch } from "./wire.ts";

/** What `fetch` takes, and what is wanted of the delivery. Redirects are never followed: one is a failure. */
export type EnqueueInit = RequestInit & DeliveryOptions;

/** What handing a request over takes beside its own arguments. */
export interface EnqueueSettings extends Pick<ClientSigner, "edge" | "clientId" | "sign" | "refused"> {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The fetch underneath, looked up at each call. */
  readonly underlying: () => Fetch;
}

/** Nobody knows whether it was stored. */
const UNSURE: ReadonlySet<ErrorCode> = new Set([
  "storage_unavailable",
  "registry_unavailable",
  "edge_unreachable",
  "edge_failed",
]);

/**
 * Hands a request over to be made later. Where nobody knows whether it was stored, it is handed over again by the very same token,
 * by which the edge knows it again, so that it is stored once.
 *
 * @throws RelayError as the edge answered; `request_invalid`, `url_invalid`, `edge_unreachable`, `edge_failed`; the signal's reason; TypeError as a
 *   native fetch
 */
export async function enqueue(
  input: string | URL | Request,
  init: EnqueueInit,
  settings: EnqueueSettings,
): Promise<Accepted> {
  const { key, lane, schedule, callback, ...fetched } = init;
  const delivery = optionsOf({ key, lane, schedule, callback });
  const asked = readRequest(input, fetched);
  const { method, signal } = asked;
  const url = asked.url.href.replace(/#.*$/s, "");
  parseTargetUrl(url);
  const body = await abortable(asked.readBody(), signal);
  const fields = relayedFields(asked.fields, { type: body.type, decompress: false });
  const call = { method, url, fields, body, signal };
  const mayRepeat = bodyKind(body) !== "stream";
  return attempted(settings, (sign) => handOver(call, delivery, mayRepeat, { ...settings, sign }), mayRepeat);
}

async function handOver(
  call: Call,
  delivery: DeliveryOptions,
  mayRepeat: boolean,
  settings: EnqueueSettings,
): Promise<Accepted> {
  const { signal } = call;
  const token = await abortable(tokenFor(call, delivery, settings), signal);
  const waits = mayRepeat ? [...ENQUEUE_WAITS_MS] : [];
  for (;;) {
    try {
      return await handOverOnce(call, token, settings);
    } catch (error) {
      const wait = isRelayError(error) && UNSURE.has(error.code) ? waits.shift() : undefined;
      if (wait === undefined) throw error;
      await abortable(new Promise((done) => setTimeout(done, wait)), signal);
    }
  }
}

async function handOverOnce(call: Call, token: string, settings: EnqueueSettings): Promise<Accepted> {
  const init: RequestInit = {
    method: "POST",
    headers: [
      [WIRE.authorization, `Bearer ${token}`],
      [WIRE.envelope, "1"],
      ...sectionToWire(encodeSection(call.fields)),
    ],
  };
  const { failure, abandon } = attachBody(init, call.body, call.signal);
  try {
    const { edge } = settings;
    const asked = { edge, path: "/deliveries", init, maxBytes: ACCEPTED_MAX_BYTES, failure } as const;
    return acceptedIn(await askEdge({ ...asked, reached: "unknown" }, settings.underlying()));
  } catch (error) {
    abandon(error);
    throw error;
  }
}

function tokenFor(
  { method, url, body }: Call,
  delivery: DeliveryOptions,
  { edge, clientId, sign, now }: EnqueueSettings,
): Promise<string> {
  const iat = Math.floor(now() / 1_000);
  const claims: RequestClaims = {
    iss: clientId,
    aud: edge,
    act: "enqueue",
    iat,
    exp: iat + REQUEST_TOKEN_SECONDS,
    jti: newRequestId(),
    htm: method,
    url,
    framing: body.framing,
    ...(body.digest !== undefined && { digest: body.digest }),
    ...(Object.keys(delivery).length > 0 && { delivery }),
  };
  return sign(claims);
}

/** @throws RelayError `request_invalid` */
function optionsOf(given: { readonly [Name in keyof DeliveryOptions]: DeliveryOptions[Name] | undefined }) {
  const options: unknown = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  if (isDeliveryOptions(options)) return options;
  throw new RelayError(
    "request_invalid",
    "key, lane and callback are texts that are neither empty nor too long, schedule is a list of seconds before each attempt",
  );
}

/** @throws RelayError `edge_failed` */
function acceptedIn(text: string): Accepted {
  try {
    const { id, status } = JSON.parse(text) as Partial<Accepted>;
    if (
      typeof id === "string" &&
      DELIVERY_ID.test(id) &&
      (status === "stored" || status === "duplicate" || status === "revived")
    ) {
      return { id, status };
    }
  } catch {
    // Whatever it is, it doesn't say that something was stored.
  }
  throw new RelayError("edge_failed", "the edge's answer to POST /deliveries names no delivery");
}
