import { Hono } from "hono";
import { RelayError } from "../../protocol/errors.ts";
import { registryCall, registryOf } from "../edge.ts";
import type { AdminHosting } from "./operator.ts";
import { pageOf, queryOf } from "./query.ts";

/** Who changed the registry, when and how. */
export const audit = new Hono<AdminHosting>();

audit.get("/", async (c) => {
  const { before, client, limit } = queryOf(c, "before", "client");
  if (before !== undefined && !/^[1-9]\d{0,14}$/.test(before)) {
    throw new RelayError("request_invalid", "in the query: before must be the number of an entry");
  }
  const found = await registryCall(() =>
    registryOf(c.env).audit({
      before: before === undefined ? undefined : Number(before),
      client,
      limit: limit + 1,
    }),
  );
  return c.json(pageOf(found, limit, ({ seq }) => seq));
});
