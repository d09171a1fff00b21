import type { Context } from "hono";
import { SEEN_PATH_MAX } from "../limits.ts";
import type { Hosting } from "../hosting.ts";

/**
 * Tells a caller the path that it asked for as it came here: `holdfast doctor` finds out by it whether something in front of the
 * edge rewrites URLs, which would change what a relay URL's target sees.
 */
export function seen(c: Context<Hosting>): Response {
  const path = /^[a-z]+:\/\/[^/?#]*(.*)$/s.exec(c.req.url)?.[1] ?? "";
  const fields = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" };
  return c.json({ path: path.slice(0, SEEN_PATH_MAX) }, 200, fields);
}
