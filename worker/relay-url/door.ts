import type { Context, MiddlewareHandler } from "hono";
import { RelayError } from "../../protocol/errors.ts";
import { parseRelayUrlTarget } from "../../protocol/relay-urls.ts";
import { parseTargetUrl, type TargetUrl } from "../../protocol/targets.ts";
import { type Authorized, framingOf } from "../authorize.ts";
import { type Edge, edgeOf, type Env } from "../edge.ts";
import { rawEnvelopeOf } from "../envelopes.ts";
import { forwardRaw } from "../forward.ts";
import { withHealth } from "../healthy.ts";
import type { Hosting } from "../hosting.ts";
import { reachTarget } from "../reach-target.ts";
import { admitScope, requestUnder } from "../scoped.ts";
import { editByRelayUrl, keptByRelayUrl, SANDBOX } from "./fields.ts";
import { type RelayUrlPath, splitRelayUrl } from "./path.ts";
import { assertProgram } from "./programs.ts";

/**
 *   program ──GET /r/<credential>/v1/x──▶ edge ──grant + envelope──▶ node ──GET /v1/x──▶ target
 *
 * For software that lets nothing be set but a base URL: each request is one of its own, to the one origin that its scope token
 * names.
 *
 * @throws RelayError as `assertProgram`, `authorizeRelayUrl` and `forwardRaw`, and `not_found`
 */
export async function relayUrl(c: Context<Hosting>): Promise<Response> {
  const request = c.req.raw;
  const edge = edgeOf(c.env);
  assertProgram(request);
  const asked = splitRelayUrl(request.url);
  if (asked === undefined) throw new RelayError("not_found", "a relay URL is /r/<handle or token>/<path>");
  const now = Math.floor(Date.now() / 1_000);
  const { authorized, target } = await authorizeRelayUrl(request, asked, edge, c.env, now);
  c.set("client", authorized.client);
  const place = { edge: edge.config.origin, credential: asked.credential, target };
  const envelope = rawEnvelopeOf(request, keptByRelayUrl(place, request.url));
  return withHealth(c, edge, () =>
    forwardRaw(request, authorized, edge, c.get("clock"), envelope, editByRelayUrl(place)),
  );
}

/** Puts every answer of this door into a sandbox, whoever gave it. */
export const sandboxed: MiddlewareHandler<Hosting> = async (c, next) => {
  await next();
  for (const [name, value] of SANDBOX) c.res.headers.append(name, value);
};

/**
 * Judges a request by a relay URL: its path, whatever stands in it, is one of the token's origin, and both the token's list and
 * the client's own have to admit it.
 *
 * @param now seconds since 1970
 * @throws RelayError as `admitScope` and `requestUnder`, and `request_invalid`, `url_invalid`, `target_not_allowed`
 */
async function authorizeRelayUrl(
  request: Request,
  { credential, path }: RelayUrlPath,
  edge: Edge,
  env: Env,
  now: number,
): Promise<{ readonly authorized: Authorized; readonly target: TargetUrl }> {
  const scope = await admitScope(request, credential, "url", edge, env, now);
  const { client, claims } = scope;
  const { origin, allow } = parseRelayUrlTarget(claims.allow);
  const url = `${origin}${path}`;
  const target = parseTargetUrl(url);
  const { method } = request;
  const wanted = { kind: "request", method, url: target } as const;
  reachTarget(edge, env, "url", client, wanted, { whose: `this token of ${client.id}`, allow });
  const call = { act: "fetch", htm: method, url } as const;
  return { target, authorized: requestUnder(scope, call, framingOf(request), edge, now) };
}
