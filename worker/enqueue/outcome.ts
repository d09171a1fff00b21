import type { Context } from "hono";
import { DELIVERY_ID } from "../../protocol/deliveries.ts";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { proveRequest } from "../authorize.ts";
import { placeOfId, storeAt, storeCall } from "../deliveries/stores.ts";
import { edgeOf } from "../edge.ts";
import type { Hosting } from "../hosting.ts";

/**
 * Tells a client how one of its own deliveries is.
 *
 * @throws RelayError as `proveRequest`, and `token_method`, `token_url`, `delivery_unknown`, `storage_unavailable`
 */
export async function tellDelivery(c: Context<Hosting>): Promise<Response> {
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  const token = c.req.raw.headers.get(WIRE.authorization);
  const { client, claims } = await proveRequest(c.req.raw, token, edge, c.env, now, "delivery");
  c.set("client", client);
  if (claims.htm !== "GET") throw new RelayError("token_method", `signed for ${claims.htm}, sent as GET`);
  const id = c.req.param("id") ?? "";
  if (claims.url !== `${edge.config.origin}/deliveries/${id}`) {
    throw new RelayError("token_url", "the URL that was signed is not this delivery's");
  }
  const place = DELIVERY_ID.test(id) ? placeOfId(`client:${client.id}`, id) : undefined;
  const detail = place && (await storeCall(() => storeAt(c.env, place).show(id)));
  if (!detail) throw new RelayError("delivery_unknown", `${client.id} has no delivery of this id`);
  return c.json(detail, 200, { [WIRE.timing]: c.get("clock").timing(), "Cache-Control": "no-store" });
}
