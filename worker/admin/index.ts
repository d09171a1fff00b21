import { Hono } from "hono";
import { audit } from "./audit.ts";
import { clients } from "./clients.ts";
import { deliveries } from "./deliveries.ts";
import { handles } from "./handles.ts";
import { observed } from "./observed.ts";
import { type AdminHosting, proveOperator } from "./operator.ts";
import { revocations } from "./revocations.ts";
import { routes } from "./routes.ts";
import { usage } from "./usage.ts";

/** An operator's calls, each signed with its method, its URL and the digest of its body, each token good once. */
export const admin = new Hono<AdminHosting>();

admin.use(proveOperator);
admin.route("/clients", clients);
admin.route("/handles", handles);
admin.route("/revocations", revocations);
admin.route("/audit", audit);
admin.route("/observed", observed);
admin.route("/usage", usage);
admin.route("/routes", routes);
admin.route("/deliveries", deliveries);
