import { readdirSync } from "node:fs";
import { join } from "node:path";
import { base64url } from "jose";
import type { Owner } from "../../protocol/deliveries.ts";
import { sqliteDatabase } from "../../test/support/sqlite-storage.ts";
import { acceptEvent } from "../../worker/deliveries/engine/accept.ts";
import { endEvent } from "../../worker/deliveries/engine/change-state.ts";
import type { NewEvent } from "../../worker/deliveries/event.ts";
import { newDeliveryId, placesOf, STORES_PER_OWNER } from "../../worker/deliveries/places.ts";
import type { EventRow } from "../../worker/deliveries/store/event-row.ts";
import { Store } from "../../worker/deliveries/store/store.ts";
import type { RouteRecord } from "../../worker/routes.ts";
import { Sealing } from "../../worker/sealing.ts";
import { BODY_BYTES, FILL_BATCH, NO_LIMIT } from "./limits.ts";

/** What an owner's stores are filled with. */
export interface Filling {
  readonly owner: Owner;
  readonly state: "pending" | "delivered";
  /** Over all stores. */
  readonly count: number;
  /** As STORAGE_KEYS has it. */
  readonly storageKey: string;
}

/**
 * Fills an owner's stores with copies of an event that each of them has, while the edge is down: through the stores' own classes,
 * over their files, by Node's SQLite in place of workerd's.
 */
export async function fill(dir: string, filling: Filling): Promise<void> {
  const sealing = await Sealing.with([Uint8Array.from(base64url.decode(filling.storageKey))]);
  let filled = 0;
  for (const file of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".sqlite")) continue;
    const database = sqliteDatabase(join(dir, file));
    try {
      const tables = database.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'totals'").toArray();
      const store = tables.length === 0 ? undefined : new Store(database.sql);
      if (store?.totals.owner() !== filling.owner) continue;
      await fillStore(store, database.transaction, sealing, filling);
      filled++;
    } finally {
      database.close();
    }
  }
  if (filled !== STORES_PER_OWNER) throw new Error(`${filled} stores of ${filling.owner} were found`);
}

/** Nothing stands in the way. */
const ROUTE = { limits: { pending: 10 * NO_LIMIT } } as RouteRecord;

async function fillStore(
  store: Store,
  transaction: (work: () => void) => void,
  sealing: Sealing,
  { owner, state, count }: Filling,
): Promise<void> {
  const [model] = store.lists.latest({}, null, 1) as [EventRow];
  const { request } = store.bodies.contents(model.seq)!;
  const plain = await sealing.open(request, `delivery ${model.id}`);
  const index = placesOf(owner).findIndex((place) => newDeliveryId(place)[4] === model.id[4]);
  const body = new Uint8Array(BODY_BYTES).fill(120);
  const most = Math.floor(count / STORES_PER_OWNER);
  for (let done = 0; done < most; done += FILL_BATCH) {
    const events: NewEvent[] = [];
    for (let n = done; n < Math.min(most, done + FILL_BATCH); n++) {
      const id = newDeliveryId({ owner, index });
      const { kind, client, method, origin, digest, size } = model;
      const sealed = state === "pending" ? await sealing.seal(plain, `delivery ${id}`) : request;
      const dedupe = `filled-${index}-${n}`;
      const none = { likeness: null, lane: null, schedule: null, callback: null };
      events.push({
        id,
        owner,
        kind,
        client,
        method,
        origin,
        digest,
        size,
        request: sealed,
        dedupe,
        ...none,
      });
    }
    transaction(() => {
      for (const event of events) {
        const now = Date.now();
        acceptEvent(store, event, body, { now, route: ROUTE });
        if (state === "pending") continue;
        endEvent(store, store.events.byId(event.id)!, { state, reason: null }, now);
      }
    });
  }
}
