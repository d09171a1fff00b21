import type { Context, Next } from "hono";
import { checkAdminClaims } from "../../protocol/claims.ts";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { CLOCK_LEEWAY_SECONDS } from "../../protocol/limits.ts";
import { digestOf, readBearer, verifySignature } from "../../protocol/tokens.ts";
import type { Author } from "../audit.ts";
import { type Env, edgeOf, registryCall, registryOf } from "../edge.ts";
import { ADMIN_BODY_MAX_BYTES } from "../limits.ts";
import { readAtMost } from "../read-at-most.ts";
import { atSendersCost } from "../strangers.ts";

/** What an administrative route finds in its context. */
export interface AdminHosting {
  Bindings: Env;
  Variables: {
    /** As it was signed. */
    body: string;
    /** The operator who asks, and now. */
    author: Author;
  };
}

/**
 * Proves that an operator signed this very call, and takes its id once.
 * @throws RelayError any of the token codes, `client_unknown`, `rate_limited`, `too_large`, `body_digest`, `registry_unavailable`
 */
export async function proveOperator(c: Context<AdminHosting>, next: Next): Promise<void> {
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
  c.set("author", { by: claims.iss, at: now });
  await next();
}

function tooLarge(): RelayError {
  return new RelayError("too_large", `an administrative body has at most ${ADMIN_BODY_MAX_BYTES} bytes`);
}
