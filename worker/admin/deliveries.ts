import { type Context, Hono } from "hono";
import { DELIVERY_ID } from "../../protocol/deliveries.ts";
import { RelayError } from "../../protocol/errors.ts";
import { addCounts, mergePages } from "../deliveries/pages.ts";
import { placeOfId, storeAt, storeCall } from "../deliveries/stores.ts";
import { registryCall, registryOf } from "../edge.ts";
import { jsonOf } from "../json.ts";
import { listQueryOf, readLane, readReason, readSweep, tellCursor } from "./delivery-query.ts";
import type { AdminHosting } from "./operator.ts";
import { type NamedOwner, ownerOf, storesFor, wakeStores } from "./owner-stores.ts";
import { pageOf } from "./query.ts";

/** What was accepted, of one owner: `route:<id>` or `client:<id>`. */
export const deliveries = new Hono<AdminHosting>();

deliveries.get("/:owner", async (c) => {
  const owner = await ownerOf(c);
  const { filter, before, limit } = listQueryOf(c);
  const stores = await storesFor(owner, filter.lane);
  const pages = await Promise.all(
    stores.map((place) => storeCall(() => storeAt(c.env, place).list(filter, before, limit + 1))),
  );
  const { entries, next } = pageOf(mergePages(pages, limit + 1), limit, (last) => tellCursor(last));
  return c.json({ deliveries: entries, next });
});

deliveries.get("/:owner/counts", async (c) => {
  const { owner, isThere, client, pause, stores } = await ownerOf(c);
  const counts = await Promise.all(stores.map((place) => storeCall(() => storeAt(c.env, place).counts())));
  return c.json({ owner, isThere, client, pause, ...addCounts(counts) });
});

deliveries.get("/:owner/:id", async (c) => {
  const { place, id } = await deliveryOf(c);
  const found = await storeCall(() => storeAt(c.env, place).show(id));
  if (found === null) throw unknown();
  return c.json(found);
});

deliveries.delete("/:owner/:id", async (c) => {
  const { owner, place, id } = await deliveryOf(c);
  const store = storeAt(c.env, place);
  if ((await storeCall(() => store.show(id))) === null) throw unknown();
  await note(c, owner, { action: "deliveries.purge", id });
  if (!(await storeCall(() => store.purge(id)))) throw unknown();
  return c.body(null, 204);
});

deliveries.post("/:owner/:id/replay", async (c) => {
  const { owner, place, id } = await deliveryOf(c);
  const store = storeAt(c.env, place);
  if ((await storeCall(() => store.show(id))) === null) throw unknown();
  await note(c, owner, { action: "deliveries.replay", id });
  if (!(await storeCall(() => store.replay(id)))) throw unknown();
  return c.json({ id, pause: owner.pause }, 202);
});

deliveries.post("/:owner/sweep", async (c) => {
  const owner = await ownerOf(c);
  const { act, filter, rate } = readSweep(jsonOf(c.get("body")));
  const stores = await storesFor(owner, filter.lane);
  await note(c, owner, { action: `deliveries.${act}`, filter, rate });
  await Promise.all(
    stores.map((place) =>
      storeCall(() => storeAt(c.env, place).sweep({ act, filter, rate: rate / stores.length })),
    ),
  );
  return c.json({ act, filter, rate, pause: owner.pause }, 202);
});

deliveries.post("/:owner/skip", async (c) => {
  const owner = await ownerOf(c);
  const lane = readLane(jsonOf(c.get("body")));
  const [place] = await storesFor(owner, lane);
  await note(c, owner, { action: "deliveries.skip", lane });
  const id = place === undefined ? null : await storeCall(() => storeAt(c.env, place).skip(lane));
  if (id === null) throw new RelayError("delivery_unknown", "nothing is pending in this lane");
  return c.json({ id });
});

deliveries.post("/:owner/pause", async (c) => {
  const { owner, stores } = await ownerOf(c);
  const reason = readReason(jsonOf(c.get("body")));
  const pause = await registryCall(() => registryOf(c.env).pauseFor(owner, reason, c.get("author")));
  await wakeStores(c.env, stores, true);
  return c.json({ pause });
});

deliveries.post("/:owner/resume", async (c) => {
  const named = await ownerOf(c);
  expectThere(named);
  const { owner, stores } = named;
  const pause = await registryCall(() => registryOf(c.env).resumeOwner(owner, c.get("author")));
  await wakeStores(c.env, stores, true);
  return c.json({ ended: pause });
});

/**
 * Nothing could be sent; and a pause that is gone would no longer hold it, once somebody makes the same name again.
 * @throws RelayError `request_invalid`
 */
function expectThere({ owner, isThere, client, isClientThere }: NamedOwner): void {
  if (isThere && isClientThere) return;
  const there = client === null ? "its record can't be read" : `its client ${client} is not registered`;
  const why = isThere ? there : `there is no ${owner.replace(":", " ")}`;
  throw new RelayError("request_invalid", `${why}: store it, and then resume`);
}

/** @throws RelayError `delivery_unknown`, and as `ownerOf` */
async function deliveryOf(c: Context<AdminHosting>) {
  const id = c.req.param("id") ?? "";
  const owner = await ownerOf(c);
  const index = DELIVERY_ID.test(id) ? placeOfId(owner.owner, id)?.index : undefined;
  const place = owner.stores.find((one) => one.index === index);
  if (place === undefined) throw unknown();
  return { id, owner, place };
}

/** Writes down what is about to be done: nothing is done that isn't. */
async function note(
  c: Context<AdminHosting>,
  { owner }: NamedOwner,
  act: Parameters<ReturnType<typeof registryOf>["noteDeliveries"]>[1],
): Promise<void> {
  await registryCall(() => registryOf(c.env).noteDeliveries(owner, act, c.get("author")));
}

function unknown(): RelayError {
  return new RelayError("delivery_unknown", "no such delivery is stored");
}
