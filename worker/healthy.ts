import type { Context } from "hono";
import type { Edge, Env } from "./edge.ts";
import type { Hosting } from "./hosting.ts";

/** Does what needs nodes: with their health as fresh as it can be had, and with what it finds told to the other isolates. */
export function withHealth<T>(c: Context<Hosting>, edge: Edge, work: () => Promise<T>): Promise<T> {
  return withFreshHealth(edge, c.env, (task) => c.executionCtx.waitUntil(task), work);
}

/**
 * The same where no request asks for it.
 * @param waitUntil keeps the runtime from ending what outlives the work
 */
export async function withFreshHealth<T>(
  edge: Edge,
  env: Env,
  waitUntil: (task: Promise<unknown>) => void,
  work: () => Promise<T>,
): Promise<T> {
  const refresh = () => edge.refreshHealth(env, waitUntil);
  await refresh();
  try {
    return await work();
  } finally {
    // A node's first failure is for the others to know now, not with this isolate's next request.
    if (edge.pool.hasUntold) void refresh();
  }
}
