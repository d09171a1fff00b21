import { adminCall, type Operator } from "../../client/admin.ts";
import type { DeliveryCounts, DeliveryDetail, DeliveryRow, Owner, Pause } from "../../protocol/deliveries.ts";
import type { Filter } from "./arguments.ts";

/** An owner's deliveries, as an operator asks the edge for them. */

/** How many the edge tells at once. */
const PAGE = 100;

/** How an owner's deliveries stand. */
export interface OwnerCounts extends DeliveryCounts {
  readonly owner: Owner;
  /** Whether the route or the client is registered. */
  readonly isThere: boolean;
  readonly pause: Pause | null;
}

/** The latest first, at most so many. */
export async function listDeliveries(
  operator: Operator,
  owner: Owner,
  filter: Filter,
  limit: number,
): Promise<DeliveryRow[]> {
  const rows: DeliveryRow[] = [];
  const query = new URLSearchParams(Object.entries(filter).map(([name, value]) => [name, String(value)]));
  while (rows.length < limit) {
    query.set("limit", String(Math.min(PAGE, limit - rows.length)));
    const { value } = await adminCall(operator, "GET", `/admin/deliveries/${owner}?${query.toString()}`);
    const page = value as { readonly deliveries: readonly DeliveryRow[]; readonly next: string | null };
    rows.push(...page.deliveries);
    if (page.next === null) break;
    query.set("before", page.next);
  }
  return rows;
}

/** @throws RelayError `delivery_unknown`, or as the edge answered */
export async function readDelivery(operator: Operator, owner: Owner, id: string): Promise<DeliveryDetail> {
  return (await adminCall(operator, "GET", `/admin/deliveries/${owner}/${id}`)).value as DeliveryDetail;
}

export async function countDeliveries(operator: Operator, owner: Owner): Promise<OwnerCounts> {
  return (await adminCall(operator, "GET", `/admin/deliveries/${owner}/counts`)).value as OwnerCounts;
}

/** @returns what keeps it from being made, where something does */
export async function replayDelivery(operator: Operator, owner: Owner, id: string): Promise<Pause | null> {
  const { value } = await adminCall(operator, "POST", `/admin/deliveries/${owner}/${id}/replay`);
  return (value as { readonly pause: Pause | null }).pause;
}

export async function purgeDelivery(operator: Operator, owner: Owner, id: string): Promise<void> {
  await adminCall(operator, "DELETE", `/admin/deliveries/${owner}/${id}`);
}

/** Begins to replay or purge many, so many per second. */
export async function sweepDeliveries(
  operator: Operator,
  owner: Owner,
  sweep: { readonly act: "replay" | "purge"; readonly filter: Filter; readonly rate: number | undefined },
): Promise<{ readonly rate: number; readonly pause: Pause | null }> {
  const { value } = await adminCall(operator, "POST", `/admin/deliveries/${owner}/sweep`, { body: sweep });
  return value as { readonly rate: number; readonly pause: Pause | null };
}

/** Gives up the first of a lane; returns its id. */
export async function skipHead(operator: Operator, owner: Owner, lane: string): Promise<string> {
  const { value } = await adminCall(operator, "POST", `/admin/deliveries/${owner}/skip`, { body: { lane } });
  return (value as { readonly id: string }).id;
}

export async function pauseOwner(operator: Operator, owner: Owner, reason: string): Promise<void> {
  await adminCall(operator, "POST", `/admin/deliveries/${owner}/pause`, { body: { reason } });
}

/** @returns the pause that has ended; null where there was none */
export async function resumeOwner(operator: Operator, owner: Owner): Promise<Pause | null> {
  const { value } = await adminCall(operator, "POST", `/admin/deliveries/${owner}/resume`);
  return (value as { readonly ended: Pause | null }).ended;
}
