import type { Context } from "hono";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { type Edge, edgeOf, type Env } from "../edge.ts";
import type { Hosting } from "../hosting.ts";
import { atSendersCost } from "../strangers.ts";
import type { Route } from "./route.ts";
import { takeEvent } from "./take-event.ts";

/**
 *   provider ──POST /hooks/orders──▶ edge: proven, stored ──202──▶ provider
 *
 * Takes a provider's event. What can be refused by its head is refused before a byte of its body is read; and each refusal is
 * written down.
 *
 * @throws RelayError as `routeOf` and `takeEvent`, `method_not_allowed` and `rate_limited`
 */
export async function hook(c: Context<Hosting>): Promise<Response> {
  const id = c.req.param("route") ?? "";
  const edge = edgeOf(c.env);
  try {
    if (c.req.method !== "POST") throw new RelayError("method_not_allowed", "an event is sent by POST");
    const request = c.req.raw;
    const route = await routeOf(request, id, edge, c.env);
    const call = { request, url: edge.config.origin + /^[a-z]+:\/\/[^/?#]*([^#]*)/.exec(request.url)![1]! };
    const check = route.verify({ headers: request.headers, url: call.url }, Date.now());
    edge.routeRates.take(route, Date.now());
    const answer = await takeEvent(call, route, check, edge, c.env);
    return typeof answer === "string"
      ? c.text(answer, 200, { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" })
      : c.json(answer, answer.status === "stored" ? 202 : 200, { "Cache-Control": "no-store" });
  } catch (error) {
    // What was called that is no route may be anything.
    log(edge.knowsRoute(id) ? id : null, error);
    throw error;
  }
}

/**
 * The route that is called. Whoever guesses at routes is charged for it, as for tokens.
 * @throws RelayError `route_unknown`, `rate_limited`, and as `Edge.route`
 */
function routeOf(request: Request, id: string, edge: Edge, env: Env): Promise<Route> {
  return atSendersCost(request, edge, env, (admit) => {
    admit(edge.knowsRoute(id));
    if (!CLIENT_ID.test(id)) throw new RelayError("route_unknown", "there is no such route");
    return edge.route(id, env, Date.now());
  });
}

/** Neither the query nor a field: they may hold secrets. */
function log(route: string | null, error: unknown): void {
  const { code, detail } = isRelayError(error) ? error : { code: "edge_internal", detail: "the edge failed" };
  console.log(JSON.stringify({ decision: "hook_refused", route, code, detail }));
}
