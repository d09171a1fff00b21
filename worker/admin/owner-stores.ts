import type { Context } from "hono";
import { isOwner, type Owner } from "../../protocol/deliveries.ts";
import { RelayError } from "../../protocol/errors.ts";
import { nameOf, placeOf, type StorePlace, storeAt } from "../deliveries/stores.ts";
import { inTurns } from "../in-turns.ts";
import { STORES_AT_ONCE } from "../limits.ts";
import { type Env, registryCall, registryOf } from "../edge.ts";
import type { OwnerState } from "../registry/delivery-owners.ts";
import type { AdminHosting } from "./operator.ts";

/** The owner that a call's path names, and what the registry knows of it. */
export interface NamedOwner extends OwnerState {
  readonly owner: Owner;
}

/**
 * @throws RelayError `request_invalid`; `not_found` where nothing is or was of this name
 */
export async function ownerOf(c: Context<AdminHosting>): Promise<NamedOwner> {
  const owner = c.req.param("owner");
  if (!isOwner(owner)) {
    throw new RelayError("request_invalid", "say whose deliveries: route:<id> or client:<id>");
  }
  const state = await registryCall(() => registryOf(c.env).ownerState(owner));
  if (!state.isThere && state.pause === null && state.stores.length === 0) {
    throw new RelayError("not_found", `there is no ${owner.replace(":", " ")}, and nothing is stored of one`);
  }
  return { owner, ...state };
}

/** Those of an owner's stores in which a lane can be. A store that was never used is none: to look would make it. */
export async function storesFor(
  { owner, stores }: NamedOwner,
  lane: string | undefined,
): Promise<readonly StorePlace[]> {
  if (lane === undefined) return stores;
  const { index } = await placeOf(owner, lane);
  return stores.filter((place) => place.index === index);
}

/**
 * Tells stores that something of their owner's changed. One that doesn't hear of it sees it by itself, a little later.
 * @param isMended whether targets that failed are worth another try at once
 */
export async function wakeStores(env: Env, stores: readonly StorePlace[], isMended: boolean): Promise<void> {
  const wake = async (place: StorePlace) => {
    try {
      await storeAt(env, place).wake(isMended);
    } catch (error) {
      console.error(`the store ${nameOf(place)} was not told of a change`, error);
    }
  };
  await inTurns(stores, STORES_AT_ONCE, wake);
}
