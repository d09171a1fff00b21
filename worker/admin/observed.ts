import { type Context, Hono } from "hono";
import { RelayError } from "../../protocol/errors.ts";
import { registryCall, registryOf } from "../edge.ts";
import type { AdminHosting } from "./operator.ts";

/** What was used under a client whose list is not enforced: `GET`, and `DELETE` to begin anew. */
export const observed = new Hono<AdminHosting>();

observed.get("/", async (c) => {
  const client = await clientOf(c);
  return c.json(await registryCall(() => registryOf(c.env).observed(client)));
});

observed.delete("/", async (c) => {
  const client = await clientOf(c);
  await registryCall(() => registryOf(c.env).clearObserved(client, c.get("author")));
  return c.body(null, 204);
});

async function clientOf(c: Context<AdminHosting>): Promise<string> {
  const [client, ...more] = c.req.queries("client") ?? [];
  if (client === undefined || more.length > 0) {
    throw new RelayError("request_invalid", "say one client: ?client=<id>");
  }
  if ((await registryCall(() => registryOf(c.env).client(client))) === null) {
    throw new RelayError("not_found", "no such client");
  }
  return client;
}
