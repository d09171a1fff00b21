import type { Context } from "hono";
import type { Edge } from "./edge.ts";
import type { Hosting } from "./hosting.ts";

/** Does what needs nodes: with their health as fresh as it can be had, and with what it finds told to the other isolates. */
export async function withHealth<T>(c: Context<Hosting>, edge: Edge, work: () => Promise<T>): Promise<T> {
  const refresh = () => edge.refreshHealth(c.env, (task) => c.executionCtx.waitUntil(task));
  await refresh();
  try {
    return await work();
  } finally {
    // A node's first failure is for the others to know now, not with this isolate's next request.
    if (edge.pool.hasUntold) void refresh();
  }
}
