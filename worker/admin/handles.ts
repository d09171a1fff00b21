import { Hono } from "hono";
import { SCOPE_ACTS } from "../../protocol/claims.ts";
import { RelayError } from "../../protocol/errors.ts";
import { parseRelayUrlTarget } from "../../protocol/relay-urls.ts";
import { parseAllowedTarget } from "../../protocol/targets.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { edgeOf, registryCall, registryOf } from "../edge.ts";
import { hashOf, newHandle } from "../handles.ts";
import { jsonOf } from "../json.ts";
import { checkScopeLifetime, proveScopeToken } from "../scope.ts";
import type { AdminHosting } from "./operator.ts";
import { pageOf, queryOf } from "./query.ts";

/** Handles of the clients' scope tokens. */
export const handles = new Hono<AdminHosting>();

handles.get("/", async (c) => {
  const { client, after = "", limit } = queryOf(c, "client", "after");
  if (client === undefined) throw new RelayError("request_invalid", "say whose: ?client=<client id>");
  const found = await registryCall(() =>
    registryOf(c.env).handles(client, after, limit + 1, c.get("author").at),
  );
  const { entries, next } = pageOf(found, limit, ({ id }) => id);
  const told = entries.map(({ id, key, claims: { act, allow, exp: expires, jti: token } }) => ({
    id,
    act,
    allow,
    expires,
    key,
    token,
  }));
  return c.json({ handles: told, next });
});

handles.post("/", async (c) => {
  const value = jsonOf(c.get("body")) as { readonly token?: unknown } | null;
  if (typeof value?.token !== "string" || Object.keys(value).length !== 1) {
    throw new RelayError("request_invalid", 'the body is not of the form {"token": "<scope token>"}');
  }
  const author = c.get("author");
  // The act stays in the record, and each door looks at it again.
  const scope = await proveScopeToken(value.token, SCOPE_ACTS, edgeOf(c.env), c.env, author.at, () => {});
  const { client, claims, key, certifiedUntil } = scope;
  if (certifiedUntil !== undefined) {
    throw new RelayError(
      "request_invalid",
      "a handle stands for a scope token of a registered key: this one is signed under a certificate, which ends within minutes",
    );
  }
  checkScopeLifetime(scope);
  // What can't be parsed would refuse every use of the handle.
  if (claims.act === "url") parseRelayUrlTarget(claims.allow);
  else for (const entry of claims.allow) parseAllowedTarget(entry);
  const handle = newHandle();
  const id = newRequestId();
  const hash = await hashOf(handle);
  const stored = await registryCall(() => registryOf(c.env).putHandle(hash, { id, claims, key }, author));
  if (stored === "client_unknown") throw new RelayError(stored, `no client ${client.id} is registered`);
  if (stored === "token_revoked") throw new RelayError(stored, "an operator revoked this token");
  return c.json({ id, handle, client: client.id, expires: claims.exp }, 201, { "Cache-Control": "no-store" });
});

handles.delete("/:id", async (c) => {
  if (!(await registryCall(() => registryOf(c.env).deleteHandle(c.req.param("id"), c.get("author"))))) {
    throw new RelayError("not_found", "no such handle");
  }
  return c.body(null, 204);
});
