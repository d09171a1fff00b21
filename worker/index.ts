import { app } from "./app.ts";
import { rearmStores } from "./deliveries/rearm.ts";
import type { Env } from "./edge.ts";

export { Deliveries } from "./deliveries/deliveries-object.ts";
export { Health } from "./health-object.ts";
export { Registry } from "./registry/registry.ts";

export default {
  fetch: app.fetch,
  scheduled: (_controller, env, context) => context.waitUntil(rearmStores(env)),
} satisfies ExportedHandler<Env>;
