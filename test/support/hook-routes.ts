import { adminCall, type Operator } from "../../client/admin.ts";
import type { DeliveryCounts, DeliveryRow } from "../../protocol/deliveries.ts";

/** A route as an operator sends it, without what the tests have alike. */
export interface RouteForm {
  readonly id: string;
  readonly verifier?: object;
  readonly target?: string;
  readonly [member: string]: unknown;
}

/** Writes a route of the client `app`, whatever there was before. */
export async function putRoute(operator: Operator, form: RouteForm): Promise<void> {
  const body = {
    client: "app",
    target: "https://internal.example.com/in",
    verifier: { type: "none" },
    ...form,
  };
  const path = `/admin/routes/${form.id}`;
  try {
    await adminCall(operator, "PUT", path, { body });
  } catch (error) {
    if ((error as { code?: string }).code !== "version_conflict") throw error;
    await adminCall(operator, "PUT", path, { body, ifMatch: "*" });
  }
}

/** Deliveries of a route, the latest first. */
export async function storedOf(operator: Operator, route: string): Promise<readonly DeliveryRow[]> {
  const { value } = await adminCall(operator, "GET", `/admin/deliveries/route:${route}?limit=100`);
  return (value as { deliveries: readonly DeliveryRow[] }).deliveries;
}

/** How many deliveries a route has. */
export async function countsOf(operator: Operator, route: string): Promise<DeliveryCounts> {
  const { value } = await adminCall(operator, "GET", `/admin/deliveries/route:${route}/counts`);
  return value as DeliveryCounts;
}
