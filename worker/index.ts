import { app } from "./app.ts";

export { Registry } from "./registry.ts";

export default { fetch: app.fetch };
