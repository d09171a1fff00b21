import type { Context } from "hono";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { DELIVERY_BODY_MAX_BYTES } from "../../protocol/limits.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { type Authorized, authorize } from "../authorize.ts";
import { takeIn, type Taken } from "../deliveries/intake.ts";
import { callbackPlace, sealRequest } from "../deliveries/seal-request.ts";
import { newDeliveryId, placeOf } from "../deliveries/stores.ts";
import { type Edge, type Env, edgeOf } from "../edge.ts";
import type { Hosting } from "../hosting.ts";
import { HELD_BODY_BYTES } from "../limits.ts";
import { reachTarget } from "../reach-target.ts";
import { knownBy, likenessOf } from "./known-by.ts";
import { sectionOf } from "./section.ts";

/**
 *   caller ──request token, fields, body──▶ edge ──event──▶ store
 *   caller ◀──────────202 and an id──────── edge
 *
 * Takes a request that is to be made later. Whether it may be made is judged here as well, so that a mistake is told now.
 *
 * @throws RelayError as `authorize` and `takeIn`, and `request_invalid`, `fields_invalid`, `fields_too_large`, `body_digest`,
 *   `delivery_conflict`
 */
export async function enqueue(c: Context<Hosting>): Promise<Response> {
  const request = c.req.raw;
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  const authorized = await authorize(request, edge, c.env, now, "enqueue");
  c.set("client", authorized.client);
  const accepted = await store(request, authorized, edge, c.env);
  return c.json(accepted, accepted.status === "stored" ? 202 : 200, {
    [WIRE.requestId]: authorized.claims.jti,
    [WIRE.timing]: c.get("clock").timing(),
    "Cache-Control": "no-store",
  });
}

async function store(request: Request, authorized: Authorized, edge: Edge, env: Env) {
  const { client, claims, framing } = authorized;
  const { htm: method, url, delivery = {}, node } = claims;
  if (node !== undefined) {
    throw new RelayError(
      "request_invalid",
      "a delivery is made by any node of the client's pool: sign no node",
    );
  }
  const { lane = null, schedule = null, callback } = delivery;
  if (callback !== undefined) {
    const wanted = { kind: "request", method: "POST", url: parseTargetUrl(callback) } as const;
    reachTarget(edge, env, "delivery", client, wanted);
  }
  const section = sectionOf(request);
  const owner = `client:${client.id}` as const;
  const dedupe = knownBy(claims);
  const place = await placeOf(owner, lane ?? dedupe);
  const id = newDeliveryId(place);
  const incoming = {
    body: request.body,
    framing,
    sender: owner,
    maxBytes: DELIVERY_BODY_MAX_BYTES,
    holdBytes: HELD_BODY_BYTES,
    sinks: [],
    place,
    id,
  };
  return takeIn(incoming, edge, env, async (taken: Taken) => {
    if (claims.digest !== undefined && claims.digest !== taken.digest) {
      throw new RelayError("body_digest", "the body is not the one that was signed");
    }
    const sealing = await edge.sealing();
    return taken.store({
      owner,
      kind: "call",
      client: client.id,
      method,
      origin: parseTargetUrl(url).origin,
      request: await sealRequest(id, url, section, sealing),
      dedupe,
      likeness: await likenessOf(method, url, taken.digest),
      lane,
      schedule,
      callback: callback === undefined ? null : await sealing.seal(callback, callbackPlace(id)),
    });
  });
}
