import type { Accepted, Owner } from "../../protocol/deliveries.ts";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import { senderOf } from "../../protocol/senders.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { framingOf } from "../authorize.ts";
import { clientAddress } from "../client-address.ts";
import { takeIn } from "../deliveries/intake.ts";
import { sealRequest } from "../deliveries/seal-request.ts";
import { hookUrl } from "../deliveries/send/hook-url.ts";
import { newDeliveryId, placeOf } from "../deliveries/stores.ts";
import type { Edge, Env } from "../edge.ts";
import { rawSectionOf } from "../envelopes.ts";
import { HELD_BODY_BYTES, KEYED_BODY_MAX_BYTES } from "../limits.ts";
import type { Check } from "./check.ts";
import { areInBody, type EventKeys, keysOf } from "./event-keys.ts";
import { Proof } from "./proof.ts";
import type { Route } from "./route.ts";
import { challengeOf } from "./verifiers/slack.ts";

/** A provider's call. */
export interface Call {
  readonly request: Request;
  /** As the provider called it. */
  readonly url: string;
}

/**
 * Takes an event's body in while it is proven, and stores it; an event that is known already is looked for only then, so that
 * nobody uses ids up who can't sign. With a text to answer with, nothing was stored.
 *
 * @param check null where nothing is to be proven
 * @throws RelayError `hook_signature`, and as `takeIn`, `parseTargetUrl` and `rawSectionOf`
 */
export async function takeEvent(
  { request, url }: Call,
  route: Route,
  check: Check | null,
  edge: Edge,
  env: Env,
): Promise<Accepted | string> {
  const [, query = ""] = /^[^?]*(\?.*)?$/s.exec(url)!;
  // What could never be sent is not stored.
  parseTargetUrl(hookUrl(route.target, query));
  const fields = rawSectionOf(request);
  const proof = check === null ? undefined : await Proof.begin(check);
  const isKeyed = areInBody(route);
  const isWhole = isKeyed || check?.over === "parameters";
  const maxBytes = isWhole ? Math.min(route.bodyBytes, KEYED_BODY_MAX_BYTES) : route.bodyBytes;
  const known = await keysOf(route, request, undefined);
  const first = await placeFor(route, known);
  const address = clientAddress(request, edge.config);
  const incoming = {
    body: request.body,
    framing: framingOf(request),
    sender: address && senderOf(address),
    maxBytes,
    holdBytes: isWhole ? maxBytes : HELD_BODY_BYTES,
    sinks: proof === undefined ? [] : [proof],
    ...first,
  };
  try {
    return await takeIn(incoming, edge, env, async (taken) => {
      await proof?.end(taken);
      const { bytes } = taken;
      const challenge = route.type === "slack" && bytes !== undefined ? challengeOf(bytes) : undefined;
      if (challenge !== undefined) return challenge;
      const keys = isKeyed ? await keysOf(route, request, bytes) : known;
      const at = isKeyed ? await placeFor(route, keys) : first;
      const event = {
        owner: at.place.owner,
        kind: "hook",
        client: route.client,
        method: "POST",
        origin: null,
        request: await sealRequest(at.id, query, fields, await edge.sealing()),
        ...keys,
        likeness: null,
        schedule: null,
        callback: null,
      } as const;
      return taken.store(event, at);
    });
  } catch (error) {
    if (!isWhole || !isRelayError(error) || error.code !== "too_large") throw error;
    const why = isKeyed
      ? "what the event is known or ordered by"
      : "the form's parameters, which are signed,";
    throw new RelayError("too_large", `${error.detail}, since ${why} must be read from it whole`);
  }
}

/** Where an event goes, and an id that says so. */
async function placeFor({ id }: Route, { lane, dedupe }: EventKeys) {
  const owner: Owner = `route:${id}`;
  const place = await placeOf(owner, lane ?? dedupe);
  return { place, id: newDeliveryId(place) };
}
