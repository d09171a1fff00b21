import type { Owner } from "../../protocol/deliveries.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import type { StorePlace } from "./owner.ts";

/** An owner's deliveries are spread over this many objects. Changing it would part what has one lane, or is known by one id. */
export const STORES_PER_OWNER = 8;

const LETTERS = "ABCDEFGH";

/**
 * Where an event belongs: all of one lane together, and otherwise all that are known by one id.
 * @param key the lane, else the id, else null
 */
export async function placeOf(owner: Owner, key: string | null): Promise<StorePlace> {
  if (key === null) {
    return { owner, index: crypto.getRandomValues(new Uint8Array(1))[0]! % STORES_PER_OWNER };
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
  return { owner, index: hash[0]! % STORES_PER_OWNER };
}

/** A fresh id, which tells in which of its owner's stores it is. */
export function newDeliveryId({ index }: StorePlace): string {
  return `dlv_${LETTERS[index]}${newRequestId()}`;
}

/** Where a delivery of this id would be; undefined for an id that was never given. */
export function placeOfId(owner: Owner, id: string): StorePlace | undefined {
  const index = LETTERS.indexOf(id[4] ?? "?");
  return index === -1 ? undefined : { owner, index };
}

/** All of an owner's stores. */
export function placesOf(owner: Owner): readonly StorePlace[] {
  return Array.from({ length: STORES_PER_OWNER }, (_, index) => ({ owner, index }));
}

/** The name of a store's object. */
export function nameOf({ owner, index }: StorePlace): string {
  return `${owner}/${index}`;
}
