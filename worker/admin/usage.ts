import { Hono } from "hono";
import { RelayError } from "../../protocol/errors.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { monthOf, USAGE_MONTH } from "../../protocol/usage.ts";
import { registryCall, registryOf } from "../edge.ts";
import { USAGE_PAGE_CLIENTS } from "../limits.ts";
import type { AdminHosting } from "./operator.ts";

/**
 * `GET ?month=2026-11&client=shop`: what clients used, by default in the month that runs, and of all that used something. Behind
 * `next` comes more: ask again with it as `after`.
 */
export const usage = new Hono<AdminHosting>();

usage.get("/", async (c) => {
  const { month = monthOf(Date.now()), client, after = "", ...unknown } = c.req.query();
  if (Object.keys(unknown).length > 0) {
    throw new RelayError("request_invalid", "usage is asked for by month, client and after alone");
  }
  if (!USAGE_MONTH.test(month)) throw new RelayError("request_invalid", "month must be as in 2026-11");
  for (const id of [client, after]) {
    if (id !== undefined && id !== "" && !CLIENT_ID.test(id)) {
      throw new RelayError("request_invalid", "client and after must be clients' ids");
    }
  }
  const registry = registryOf(c.env);
  if (client !== undefined) {
    const found = await registryCall(() => registry.usageOf(client, month));
    return c.json({ month, usage: [found] });
  }
  const found = await registryCall(() => registry.usage(month, after, USAGE_PAGE_CLIENTS));
  const isWhole = found.length < USAGE_PAGE_CLIENTS;
  return c.json({ month, usage: found, ...(!isWhole && { next: found.at(-1)!.client }) });
});
