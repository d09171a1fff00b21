import { type Context, Hono } from "hono";
import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { CLOCK_LEEWAY_SECONDS } from "../protocol/limits.ts";
import { checkAdminClaims, digestOf, readBearer, verifySignature } from "../protocol/tokens.ts";
import { parseClientRecord } from "./clients.ts";
import { type Env, edgeOf, registryCall, registryOf } from "./edge.ts";
import { ADMIN_BODY_MAX_BYTES } from "./limits.ts";
import type { Expected } from "./registry.ts";
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
  const body = await readBody(c.req.raw);
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
  let value: unknown;
  try {
    value = JSON.parse(c.get("body"));
  } catch (cause) {
    throw new RelayError("request_invalid", "the body is no JSON", { cause });
  }
  const record = parseClientRecord(value);
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

/** Reads at most the limit, whatever length was announced. */
async function readBody(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > ADMIN_BODY_MAX_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  const body = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}

function tooLarge(): RelayError {
  return new RelayError("too_large", `an administrative body has at most ${ADMIN_BODY_MAX_BYTES} bytes`);
}
