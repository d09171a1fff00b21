import { app } from "./app.ts";

export { Deliveries } from "./deliveries/deliveries-object.ts";
export { Health } from "./health-object.ts";
export { Registry } from "./registry/registry.ts";

export default { fetch: app.fetch };
