import { type Edge, type Env, registryOf } from "../edge.ts";
import { REARM_EVERY_MS, REARM_PAGE, STORES_AT_ONCE } from "../limits.ts";
import { inTurns } from "../in-turns.ts";
import type { StorePlace } from "./owner.ts";
import { nameOf, storeAt } from "./stores.ts";

/**
 * Has every store set its alarm again, should it have lost it: nothing else would wake one that nobody sends anything any more. Never
 * throws. Where the platform stops it half-way, the next one goes on from there.
 */
export async function rearmStores(env: Env): Promise<void> {
  try {
    for (;;) {
      const places = await registryOf(env).nextStores(REARM_PAGE);
      if (places.length === 0) return;
      await inTurns(places, STORES_AT_ONCE, (place) => rearm(env, place));
    }
  } catch (error) {
    console.error("the stores of deliveries that are in use can't be told", error);
  }
}

/**
 * The same with what nodes ask each few seconds: where nobody calls a worker by the clock, on a host of one's own.
 *
 * @param waitUntil keeps the runtime from ending what outlives the request
 * @param now milliseconds since 1970
 */
export function rearmNowAndThen(
  edge: Edge,
  env: Env,
  waitUntil: (work: Promise<unknown>) => void,
  now: number,
): void {
  if (now - edge.rearmedAt < REARM_EVERY_MS) return;
  edge.rearmedAt = now;
  waitUntil(rearmStores(env));
}

async function rearm(env: Env, place: StorePlace): Promise<void> {
  try {
    await storeAt(env, place).rearm();
  } catch (error) {
    console.error(`the store ${nameOf(place)} can't be looked at`, error);
  }
}
