import { Hono } from "hono";
import { RelayError } from "../../protocol/errors.ts";
import { thumbprintsOf } from "../client-keys.ts";
import { loadClient, parseClientRecord } from "../clients.ts";
import { type Env, registryCall, registryOf } from "../edge.ts";
import { jsonOf } from "../json.ts";
import { WAKE_AT_MOST } from "../limits.ts";
import { expected } from "./expected.ts";
import type { AdminHosting } from "./operator.ts";
import { wakeStores } from "./owner-stores.ts";
import { pageOf, queryOf } from "./query.ts";

/** The clients' records. */
export const clients = new Hono<AdminHosting>();

clients.get("/", async (c) => {
  const { after = "", limit } = queryOf(c, "after");
  const found = await registryCall(() => registryOf(c.env).clients(after, limit + 1));
  const { entries, next } = pageOf(found, limit, ({ record }) => record.id);
  return c.json({ clients: entries, next });
});

clients.get("/:id", async (c) => {
  const stored = await registryCall(() => registryOf(c.env).client(c.req.param("id")));
  if (stored === null) throw new RelayError("not_found", "no such client");
  return c.json(stored.record, 200, { ETag: `"${stored.version}"` });
});

clients.put("/:id", async (c) => {
  const record = parseClientRecord(jsonOf(c.get("body")));
  if (record.id !== c.req.param("id")) {
    throw new RelayError("request_invalid", "the record's id is not the one in the URL");
  }
  // What can't be loaded would refuse every use.
  const { ruleIds: rules } = await loadClient(record);
  const keys = await thumbprintsOf(record.keys);
  const known = expected(c);
  const written = await registryCall(() =>
    registryOf(c.env).putClient({ record, keys, rules }, known, c.get("author")),
  );
  if (written === null) {
    throw new RelayError("version_conflict", "the record has another version, or exists already");
  }
  await wakeStoresOf(c.env, record.id);
  return c.json(record, written.isNew ? 201 : 200, { ETag: `"${written.version}"` });
});

clients.delete("/:id", async (c) => {
  const id = c.req.param("id");
  const known = expected(c);
  if (!(await registryCall(() => registryOf(c.env).deleteClient(id, known, c.get("author"))))) {
    throw new RelayError("version_conflict", "the record has another version, or does not exist");
  }
  await wakeStoresOf(c.env, id);
  return c.body(null, 204);
});

/** What delivers by a client goes by its record as it is now. */
async function wakeStoresOf(env: Env, client: string): Promise<void> {
  try {
    // Nothing of a target's: a record may be written every minute.
    await wakeStores(env, await registryOf(env).storesOfClient(client, WAKE_AT_MOST), false);
  } catch (error) {
    console.error(`the stores that deliver by ${client} can't be told of a change`, error);
  }
}
