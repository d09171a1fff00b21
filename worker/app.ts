import { type Context, Hono } from "hono";
import { problemResponse, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { admin } from "./admin/index.ts";
import { authorize } from "./authorize.ts";
import { answerProxyQuestion } from "./authorize-proxy.ts";
import { clientAddress } from "./client-address.ts";
import { directGrants } from "./direct-grants.ts";
import { edgeOf } from "./edge.ts";
import { enqueue } from "./enqueue/door.ts";
import { tellDelivery } from "./enqueue/outcome.ts";
import { egressList, signedEgressList } from "./egress-list.ts";
import { cancel, forward } from "./forward.ts";
import { withHealth } from "./healthy.ts";
import { hook } from "./hooks/door.ts";
import type { Hosting } from "./hosting.ts";
import { exchangeToken } from "./keyless/token-door.ts";
import { relayUrl, sandboxed } from "./relay-url/door.ts";
import { seen } from "./relay-url/seen.ts";
import { quotaWarning } from "./quota.ts";
import { resolve } from "./resolve.ts";
import { tellRevocations } from "./revocations.ts";
import { stream } from "./stream.ts";
import { tellable } from "./tellable.ts";
import { EdgeClock } from "./timing.ts";
import { takeUsage } from "./usage.ts";

/** The edge: each route is one door. */
export const app = new Hono<Hosting>();

/** All but the one that is used the most, which takes no way round by theirs. */
const doors = new Hono<Hosting>();

app.notFound(async (c) => doors.fetch(c.req.raw, c.env, c.executionCtx));

doors.use(async (c, next) => {
  c.set("clock", new EdgeClock());
  await next();
  // A 101 has to stay as it came.
  if (c.res.status !== 101) warn(c, c.res);
});

/** A client over a soft limit hears of it with each answer. */
function warn(c: Context<Hosting>, { headers }: Response): void {
  const warning = quotaWarning(c.get("client")?.quota, Date.now());
  if (warning !== undefined) headers.set(WIRE.quota, warning);
}

app.all("/fetch", async (c) => {
  const clock = new EdgeClock();
  c.set("clock", clock);
  const edge = edgeOf(c.env);
  const request = c.req.raw;
  const now = Math.floor(Date.now() / 1_000);
  const authorized = await authorize(request, edge, c.env, now);
  c.set("client", authorized.client);
  const envelope = request.headers.get(WIRE.envelope);
  if (envelope !== null) {
    if (request.method !== "POST") throw new RelayError("method_not_allowed", "an envelope is sent by POST");
    if (envelope !== "1") {
      throw new RelayError("request_invalid", "Relay-Envelope is not 1, the one version that there is");
    }
  } else if (request.method !== authorized.claims.htm) {
    throw new RelayError("token_method", `signed for ${authorized.claims.htm}, sent as ${request.method}`);
  }
  const relayed = await withHealth(c, edge, () => forward(request, authorized, edge, clock));
  warn(c, relayed);
  return relayed;
});

doors.post("/cancel", async (c) => {
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  await cancel(c.req.raw, await authorize(c.req.raw, edge, c.env, now, "cancel"), edge);
  return c.body(null, 204);
});

doors.get("/.well-known/jwks.json", (c) =>
  c.json(edgeOf(c.env).jwks(), 200, { "Cache-Control": "public, max-age=300" }),
);

doors.get("/.well-known/egress.json", (c) => {
  const list = egressList(edgeOf(c.env).config, new Date().toISOString().slice(0, 10));
  return c.json(list, 200, { "Cache-Control": "public, max-age=60" });
});

doors.get("/.well-known/egress.jwt", async (c) => {
  const jwt = await signedEgressList(edgeOf(c.env), Math.floor(Date.now() / 1_000));
  return c.body(jwt, 200, { "Content-Type": "application/jwt", "Cache-Control": "public, max-age=60" });
});

doors.get("/.well-known/proxy.json", (c) =>
  c.json({ proxies: edgeOf(c.env).config.proxyUrls }, 200, { "Cache-Control": "public, max-age=60" }),
);

doors.get("/whoami", (c) => {
  const address = clientAddress(c.req.raw, edgeOf(c.env).config);
  if (address === undefined) throw new RelayError("not_found", "nothing tells this edge who calls");
  return c.json({ address }, 200, { "Cache-Control": "no-store" });
});

doors.get("/healthz", (c) => {
  edgeOf(c.env);
  return c.json({ status: "ok" }, 200, { "Cache-Control": "no-store" });
});

doors.route("/stream", stream);

doors.post("/grants", directGrants);

doors.post("/resolve", resolve);

doors.post("/deliveries", enqueue);
doors.get("/deliveries/:id", tellDelivery);

doors.post("/token", exchangeToken);

doors.post("/authorize", answerProxyQuestion);

doors.get("/revocations", tellRevocations);
doors.post("/usage", takeUsage);

doors.route("/admin", admin);

doors.all("/r/*", sandboxed, relayUrl);

doors.all("/hooks/:route", hook);
// What has more behind a route's name is refused, and written down, as what names none.
doors.all("/hooks/*", hook);

doors.get("/seen/*", seen);

// The path is not repeated: a URL that was put together wrongly has a token anywhere in it.
doors.notFound((c) => answer(new RelayError("not_found", `no route of ${c.req.method}'s`), c.get("clock")));

app.onError(refuse);
doors.onError(refuse);

function refuse(error: Error, c: Context<Hosting>): Response {
  // What failed before there was a clock has no time to tell of.
  const clock = (c.get("clock") as EdgeClock | undefined) ?? new EdgeClock();
  const response = answer(tellable(error), clock);
  warn(c, response);
  return response;
}

/** A 407 is a proxy's alone to say (RFC 9110 section 15.5.8), and no `fetch` hands one that an origin says to its caller. */
function answer(error: RelayError, clock: EdgeClock): Response {
  const { status, headers, body } = problemResponse(error, error.status === 407 ? 401 : error.status);
  return new Response(body, { status, headers: [...headers, [WIRE.timing, clock.timing()]] });
}
