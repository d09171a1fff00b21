import { type Context, Hono } from "hono";
import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { CLOCK_LEEWAY_SECONDS } from "../protocol/limits.ts";
import { parseAllowedTarget } from "../protocol/targets.ts";
import { checkAdminClaims, SCOPE_ACTS } from "../protocol/claims.ts";
import { digestOf, newRequestId, readBearer, verifySignature } from "../protocol/tokens.ts";
import { adminUsage } from "./admin-usage.ts";
import { parseClientRecord } from "./clients.ts";
import { type Env, edgeOf, registryCall, registryOf } from "./edge.ts";
import { hashOf, newHandle } from "./handles.ts";
import { jsonOf } from "./json.ts";
import { ADMIN_BODY_MAX_BYTES } from "./limits.ts";
import { readAtMost } from "./read-at-most.ts";
import type { Expected } from "./registry/versions.ts";
import { checkScopeLifetime, proveScopeToken } from "./scope.ts";
import { atSendersCost } from "./strangers.ts";

/** An operator's calls, each signed with its method, its URL and the digest of its body, each token good once. */
export const admin = new Hono<{ Bindings: Env; Variables: { body: string } }>();

admin.use(async (c, next) => {
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  const claims = await atSendersCost(c.req.raw, edge, c.env, async (admit) => {
    const unverified = readBearer("admin", c.req.header(WIRE.authorization));
    const signed = checkAdminClaims(unverified.claims, edge.config.origin, now);
    const key = await edge.operatorKey(signed.iss);
    admit(key !== undefined);
    if (key === undefined) throw new RelayError("client_unknown", "no such operator key is configured");
    await verifySignature(unverified, [key]);
    return signed;
  });
  if (claims.htm !== c.req.method) throw new RelayError("token_method", `signed for ${claims.htm}`);
  const { pathname, search } = new URL(c.req.url);
  if (claims.url !== `${edge.config.origin}${pathname}${search}`) {
    throw new RelayError("token_url", "signed for another URL");
  }
  if (Number(c.req.header("content-length") ?? 0) > ADMIN_BODY_MAX_BYTES) throw tooLarge();
  const body = await readAtMost(c.req.raw.body, ADMIN_BODY_MAX_BYTES);
  if (body === undefined) throw tooLarge();
  if (body.length > 0 && claims.digest !== (await digestOf(body))) {
    throw new RelayError("body_digest", "the body is not the one that was signed");
  }
  if (
    !(await registryCall(() =>
      registryOf(c.env).useOnce(claims.jti, claims.exp + 2 * CLOCK_LEEWAY_SECONDS, now),
    ))
  ) {
    throw new RelayError("token_replayed", "this token was used before");
  }
  c.set("body", new TextDecoder().decode(body));
  await next();
});

admin.get("/clients/:id", async (c) => {
  const stored = await registryCall(() => registryOf(c.env).client(c.req.param("id")));
  if (stored === null) throw new RelayError("not_found", "no such client");
  return c.json(stored.record, 200, { ETag: `"${stored.version}"` });
});

admin.put("/clients/:id", async (c) => {
  const record = parseClientRecord(jsonOf(c.get("body")));
  if (record.id !== c.req.param("id")) {
    throw new RelayError("request_invalid", "the record's id is not the one in the URL");
  }
  const known = expected(c);
  const version = await registryCall(() => registryOf(c.env).putClient(record, known));
  if (version === null) {
    throw new RelayError("version_conflict", "the record has another version, or exists already");
  }
  return c.json(record, version === 1 ? 201 : 200, { ETag: `"${version}"` });
});

admin.delete("/clients/:id", async (c) => {
  const known = expected(c);
  if (!(await registryCall(() => registryOf(c.env).deleteClient(c.req.param("id"), known)))) {
    throw new RelayError("version_conflict", "the record has another version, or does not exist");
  }
  return c.body(null, 204);
});

admin.post("/handles", async (c) => {
  const value = jsonOf(c.get("body")) as { readonly token?: unknown } | null;
  if (typeof value?.token !== "string" || Object.keys(value).length !== 1) {
    throw new RelayError("request_invalid", 'the body is not of the form {"token": "<scope token>"}');
  }
  const now = Math.floor(Date.now() / 1_000);
  // The act stays in the record, and each door looks at it again.
  const scope = await proveScopeToken(value.token, SCOPE_ACTS, edgeOf(c.env), c.env, now, () => {});
  checkScopeLifetime(scope);
  const { client, claims, key } = scope;
  // What can't be parsed would refuse every use of the handle.
  for (const entry of claims.allow) parseAllowedTarget(entry);
  const handle = newHandle();
  const id = newRequestId();
  const hash = await hashOf(handle);
  if (!(await registryCall(() => registryOf(c.env).putHandle(hash, { id, claims, key }, now)))) {
    throw new RelayError("client_unknown", `no client ${client.id} is registered`);
  }
  return c.json({ id, handle, client: client.id, expires: claims.exp }, 201, { "Cache-Control": "no-store" });
});

admin.delete("/handles/:id", async (c) => {
  if (!(await registryCall(() => registryOf(c.env).deleteHandle(c.req.param("id"))))) {
    throw new RelayError("not_found", "no such handle");
  }
  return c.body(null, 204);
});

admin.route("/usage", adminUsage);

/** RFC 9110 section 13.1: `If-Match: "3"`, `If-Match: *`; without it a write may only create. */
function expected(c: Context): Expected {
  const match = c.req.header("if-match");
  if (match === undefined) return "none";
  if (match === "*") return "any";
  const version = /^"([1-9]\d{0,14})"$/.exec(match)?.[1];
  if (version === undefined) {
    throw new RelayError("request_invalid", 'If-Match must be "*" or one version, as in "3"');
  }
  return Number(version);
}

function tooLarge(): RelayError {
  return new RelayError("too_large", `an administrative body has at most ${ADMIN_BODY_MAX_BYTES} bytes`);
}
