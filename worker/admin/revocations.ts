import { Hono } from "hono";
import * as z from "zod/mini";
import { RelayError } from "../../protocol/errors.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { malformed, readBearer, REQUEST_ID } from "../../protocol/tokens.ts";
import { edgeOf, registryCall, registryOf } from "../edge.ts";
import { jsonOf } from "../json.ts";
import type { RevokedToken } from "../revoked.ts";
import type { AdminHosting } from "./operator.ts";

/** Scope tokens that are to be good no more. */
export const revocations = new Hono<AdminHosting>();

const schema = z.strictObject({ client: z.optional(z.string()), token: z.string() });

revocations.post("/", async (c) => {
  const token = readRevocation(jsonOf(c.get("body")), edgeOf(c.env).config.origin);
  if (!(await registryCall(() => registryOf(c.env).revokeToken(token, c.get("author"))))) {
    throw new RelayError("not_found", `no client ${token.client} is registered`);
  }
  return c.json({ client: token.client, token: token.jti, expires: token.exp ?? null });
});

/**
 * Reads which token is meant. Of a whole one only the claims are looked at: it is to be revoked also where the key that signed it
 * is gone.
 *
 * @throws RelayError `request_invalid`, `token_malformed`, `token_type`, `token_audience`
 */
function readRevocation(value: unknown, origin: string): RevokedToken {
  const { data } = z.safeParse(schema, value);
  if (data === undefined) throw badForm();
  const { client, token } = data;
  if (REQUEST_ID.test(token)) {
    if (client === undefined || !CLIENT_ID.test(client)) throw badForm();
    return { client, jti: token };
  }
  const { iss, aud, jti, exp } = readBearer("scope", `Bearer ${token}`).claims;
  if (typeof iss !== "string" || !CLIENT_ID.test(iss)) throw malformed("iss is no client id");
  if (typeof jti !== "string" || !REQUEST_ID.test(jti)) throw malformed("jti is not 128 bits in base64url");
  if (!Number.isSafeInteger(exp)) throw malformed("exp is not whole seconds");
  if (aud !== origin) throw new RelayError("token_audience", `aud is not this edge, ${origin}`);
  if (client !== undefined && client !== iss) {
    throw new RelayError("request_invalid", "the token is not of the client that is named");
  }
  return { client: iss, jti, exp: exp as number };
}

function badForm(): RelayError {
  return new RelayError(
    "request_invalid",
    'the body is neither {"client": "<id>", "token": "<jti>"} nor {"token": "<scope token>"}',
  );
}
