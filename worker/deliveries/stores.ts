import { RelayError } from "../../protocol/errors.ts";
import type { Env } from "../edge.ts";
import type { Deliveries } from "./deliveries-object.ts";
import type { StorePlace } from "./owner.ts";
import { nameOf } from "./places.ts";

export { nameOf, newDeliveryId, placeOf, placeOfId, placesOf, STORES_PER_OWNER } from "./places.ts";

export type { StorePlace };

/** The object itself. */
export function storeAt(env: Env, place: StorePlace): DurableObjectStub<Deliveries> {
  return env.DELIVERIES.get(env.DELIVERIES.idFromName(nameOf(place)));
}

/** What can't be asked may have stored what it was handed, or not. */
export async function storeCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new RelayError("storage_unavailable", "the store of deliveries did not answer", { cause });
  }
}
