import { Hono } from "hono";
import type { Owner } from "../../protocol/deliveries.ts";
import { RelayError } from "../../protocol/errors.ts";
import { loadClient } from "../clients.ts";
import { edgeOf, type Env, registryCall, registryOf } from "../edge.ts";
import { expectReachable, readRoute, tellRoute } from "../hooks/route-record.ts";
import { jsonOf } from "../json.ts";
import type { PutRoute } from "../registry/delivery-owners.ts";
import type { RouteRecord } from "../routes.ts";
import { expected } from "./expected.ts";
import type { AdminHosting } from "./operator.ts";
import { wakeStores } from "./owner-stores.ts";
import { pageOf, queryOf } from "./query.ts";

/** The routes' records. A secret goes in as text, and comes out as what it is told by. */
export const routes = new Hono<AdminHosting>();

routes.get("/", async (c) => {
  const { after = "", limit } = queryOf(c, "after");
  const found = await registryCall(() => registryOf(c.env).routes(after, limit + 1));
  const { entries, next } = pageOf(found, limit, ({ record }) => record.id);
  const told = entries.map(({ version, record, pause }) => ({ version, record: tellRoute(record), pause }));
  return c.json({ routes: told, next });
});

routes.get("/:id", async (c) => {
  const owner: Owner = `route:${c.req.param("id")}`;
  const { route, pause } = await registryCall(() => registryOf(c.env).deliveryOwner(owner));
  if (route === null) throw new RelayError("not_found", "no such route");
  return c.json({ record: tellRoute(route.record), pause }, 200, { ETag: `"${route.version}"` });
});

routes.put("/:id", async (c) => {
  const id = c.req.param("id");
  const known = expected(c);
  const stored = await registryCall(() => registryOf(c.env).route(id));
  const record = await readRoute(jsonOf(c.get("body")), stored?.record, await edgeOf(c.env).sealing());
  if (record.id !== id) {
    throw new RelayError("request_invalid", "the record's id is not the one in the URL");
  }
  await expectItsClient(record, c.env);
  // Secrets were kept of this very version: another one may have others.
  const replaced = known === "any" && stored !== null ? stored.version : known;
  const written = await registryCall<PutRoute>(() =>
    registryOf(c.env).putRoute(record, replaced, c.get("author")),
  );
  if (written === "client_unknown") throw clientUnknown(record);
  if (written === "version_conflict") {
    throw new RelayError("version_conflict", "the record has another version, or exists already");
  }
  await wake(c.env, id);
  const { isNew, version, pause } = written;
  return c.json({ record: tellRoute(record), pause }, isNew ? 201 : 200, { ETag: `"${version}"` });
});

routes.delete("/:id", async (c) => {
  const id = c.req.param("id");
  const known = expected(c);
  if (!(await registryCall(() => registryOf(c.env).deleteRoute(id, known, c.get("author"))))) {
    throw new RelayError("version_conflict", "the record has another version, or does not exist");
  }
  await wake(c.env, id);
  return c.body(null, 204);
});

async function wake(env: Env, id: string): Promise<void> {
  const { stores } = await registryCall(() => registryOf(env).ownerState(`route:${id}`));
  await wakeStores(env, stores, true);
}

/**
 * Refuses a route whose client is not there, or may not reach its target: what is stored by now, not what an isolate remembers.
 * @throws RelayError `request_invalid`, `target_not_allowed`, `registry_unavailable`
 */
async function expectItsClient(record: RouteRecord, env: Env): Promise<void> {
  const stored = await registryCall(() => registryOf(env).client(record.client));
  if (stored === null) throw clientUnknown(record);
  expectReachable(record, await loadClient(stored.record, stored.used));
}

function clientUnknown({ client }: RouteRecord): RelayError {
  return new RelayError("request_invalid", `client names ${client}, and no such client is registered`);
}
