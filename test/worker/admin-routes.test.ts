import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AdminAnswer, adminCall } from "../../client/admin.ts";
import type { Pause } from "../../protocol/deliveries.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { addClient, auditOf } from "../support/operator-calls.ts";

/** Routes as an operator reads and writes them. */

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(1, ["https://target.example.com"]);
});
afterAll(() => pool.stop());

const SECRET = "a secret of stripe's";
const form = (changes: object = {}) => ({
  id: "orders",
  client: "app",
  target: "https://target.example.com/hooks",
  verifier: { type: "stripe", secrets: [SECRET] },
  ...changes,
});
interface Told {
  readonly record: {
    readonly id: string;
    readonly verifier: { readonly secrets: readonly { readonly print: string }[] };
  };
  readonly pause: Pause | null;
}
interface Change {
  readonly ifMatch?: string | undefined;
  readonly at?: string;
}
const told = (answer: AdminAnswer) => answer.value as Told;
const put = (body: object, { ifMatch, at = (body as { id: string }).id }: Change = {}) =>
  adminCall(pool.operator, "PUT", `/admin/routes/${at}`, { body, ifMatch });
const get = (id: string) => adminCall(pool.operator, "GET", `/admin/routes/${id}`);
const remove = (id: string, ifMatch = "*") =>
  adminCall(pool.operator, "DELETE", `/admin/routes/${id}`, { ifMatch });
const act = (owner: string, what: string, body: object = {}) =>
  adminCall(pool.operator, "POST", `/admin/deliveries/${owner}/${what}`, { body });

test("a route is made, read, changed and removed by its versions, and its secret told by its print", async () => {
  const conflict = { code: "version_conflict" };
  await expect(put(form(), { ifMatch: "*" })).rejects.toMatchObject(conflict);
  const made = await put(form());
  expect(made.version).toBe('"1"');
  const [{ print }] = told(made).record.verifier.secrets as [{ print: string }];
  expect(JSON.stringify(made.value)).not.toContain(SECRET);
  await expect(put(form())).rejects.toMatchObject(conflict);

  const read = await get("orders");
  expect(read).toEqual({ value: { ...(made.value as object), pause: null }, version: '"1"' });
  // What is read can be sent back, and keeps the secret.
  const next = { ...told(read).record, order: "all" };
  expect((await put(next, { ifMatch: read.version })).version).toBe('"2"');
  await expect(put(next, { ifMatch: read.version })).rejects.toMatchObject(conflict);
  expect((await put(next, { ifMatch: "*" })).version).toBe('"3"');
  expect(told(await get("orders")).record).toMatchObject({
    order: "all",
    verifier: { secrets: [{ print }] },
  });

  await expect(remove("orders", '"1"')).rejects.toMatchObject(conflict);
  await remove("orders", '"3"');
  await expect(get("orders")).rejects.toMatchObject({ code: "not_found" });
  await expect(remove("orders")).rejects.toMatchObject(conflict);
  const actions = (await auditOf(pool.operator, "app")).map(({ action, subject }) => [action, subject]);
  expect(actions.filter(([, subject]) => subject === "orders")).toEqual([
    ["route.remove", "orders"],
    ["route.update", "orders"],
    ["route.update", "orders"],
    ["route.add", "orders"],
  ]);
});

test("a route that is made again stays paused until somebody resumes it", async () => {
  await put(form({ id: "again" }));
  await remove("again");
  const removed = { by: null, reason: "the route was removed" };
  expect((await adminCall(pool.operator, "GET", "/admin/deliveries/route:again/counts")).value).toMatchObject(
    {
      isThere: false,
      pause: removed,
      accepted: 0,
    },
  );
  await expect(act("route:again", "resume")).rejects.toMatchObject({
    code: "request_invalid",
    detail: "there is no route again: store it, and then resume",
  });
  expect(told(await put(form({ id: "again" }))).pause).toMatchObject(removed);
  expect(told(await get("again")).pause).toMatchObject(removed);
  expect((await act("route:again", "resume")).value).toMatchObject({ ended: removed });
  expect((await act("route:again", "resume")).value).toEqual({ ended: null });
  expect(told(await get("again")).pause).toBeNull();
});

test("a client that is removed pauses its routes and itself", async () => {
  await addClient(pool.operator, "shop", { allow: ["https://target.example.com"] });
  await put(form({ id: "shops", client: "shop" }));
  await adminCall(pool.operator, "DELETE", "/admin/clients/shop", { ifMatch: "*" });
  const reason = "the client shop was removed";
  expect(told(await get("shops")).pause).toMatchObject({ by: null, reason });
  expect((await adminCall(pool.operator, "GET", "/admin/deliveries/client:shop/counts")).value).toMatchObject(
    {
      isThere: false,
      pause: { reason },
    },
  );
  await expect(act("route:shops", "resume")).rejects.toMatchObject({
    detail: "its client shop is not registered: store it, and then resume",
  });
  expect((await auditOf(pool.operator, "shop"))[0]).toMatchObject({
    action: "client.remove",
    detail: { paused: ["client:shop", "route:shops"] },
  });
});

test("routes are listed page by page, with what pauses them", async () => {
  for (const id of ["list-a", "list-b", "list-c"]) await put(form({ id }));
  await act("route:list-b", "pause", { reason: "moving house" });
  const page = async (query: string) =>
    (await adminCall(pool.operator, "GET", `/admin/routes?${query}`)).value as {
      readonly routes: readonly (Told & { readonly version: number })[];
      readonly next: string | null;
    };
  const first = await page("limit=2&after=list-");
  expect(first.routes.map(({ record, version, pause }) => [record.id, version, pause?.reason])).toEqual([
    ["list-a", 1, undefined],
    ["list-b", 1, "moving house"],
  ]);
  expect(first.next).toBe("list-b");
  expect((await page(`after=${first.next}&limit=1`)).routes.map(({ record }) => record.id)).toEqual([
    "list-c",
  ]);
});

describe("refuses, and names the mend:", () => {
  test.each<readonly [what: string, body: object, change: Change, detail: RegExp]>([
    ["a client that is not there", form({ client: "nobody" }), {}, /client names nobody, and no such client/],
    ["a target outside its client's list", form({ target: "https://other.example.com/" }), {}, /app/],
    ["another id than the URL's", form(), { at: "other" }, /the record's id is not the one in the URL/],
    [
      "a verifier that is not known",
      form({ verifier: { type: "psychic" } }),
      {},
      /verifier\.type must have a type/,
    ],
    [
      "a print of nothing that it has",
      form({ verifier: { type: "stripe", secrets: [{ print: "AAAAAAAAAAAA" }] } }),
      {},
      /verifier\.secrets\.0 names no secret that the route has: send its text/,
    ],
    ["a version that is none", form(), { ifMatch: "3" }, /If-Match must be/],
  ])("%s", async (_what, body, change, detail) => {
    const error = await put(body, change).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ detail: expect.stringMatching(detail) });
    expect(String(error)).not.toContain(SECRET);
  });

  test.each([
    ["GET", "orders", "say whose deliveries: route:<id> or client:<id>"],
    ["GET", "route:never", "there is no route never, and nothing is stored of one"],
    ["GET", "client:app?state=lost", "state must be pending or delivered or dead"],
    ["GET", "client:app?from=yesterday", "from and to must be whole milliseconds since 1970"],
    ["GET", "client:app?before=1.dlv_", "before must be the `next` of the page before it"],
    ["GET", "client:app/dlv_nonsense", "no such delivery is stored"],
    [
      "POST",
      "client:app/sweep",
      'say which to replay by their state: {"state": "dead"}',
      { act: "replay", filter: {} },
    ],
    [
      "POST",
      "client:app/sweep",
      "say which to purge: by their state, or accepted from or to when",
      { act: "purge", filter: { lane: "a" } },
    ],
    [
      "POST",
      "client:app/sweep",
      "rate must be at most 1000 per second",
      { act: "purge", filter: { state: "dead" }, rate: 1_001 },
    ],
    ["POST", "client:app/skip", "lane must be of type string", {}],
    ["POST", "client:app/skip", "nothing is pending in this lane", { lane: "a" }],
    ["POST", "client:app/pause", "reason must have 1 to 256 printable characters", { reason: "\u001b[2J" }],
  ] as const)("%s %s: %s", async (method, path, detail, body?: object) => {
    await expect(
      adminCall(pool.operator, method, `/admin/deliveries/${path}`, body && { body }),
    ).rejects.toMatchObject({ detail: expect.stringContaining(detail) });
  });
});

test("a look at deliveries of which none was accepted makes no store", async () => {
  const look = async (path: string) =>
    (await adminCall(pool.operator, "GET", `/admin/deliveries/client:app${path}`)).value;
  expect(await look("?limit=1")).toEqual({ deliveries: [], next: null });
  expect(await look("/counts")).toMatchObject({ accepted: 0, pending: 0 });
  await expect(look(`/dlv_A${"a".repeat(21)}A`)).rejects.toMatchObject({ code: "delivery_unknown" });
  await act("client:app", "pause", { reason: "a look" });
  let stores: string[] | undefined;
  await pool.restartEdge(undefined, (storage) => {
    stores = readdirSync(storage, { recursive: true, encoding: "utf8" }).filter((name) =>
      /holdfast-deliveries\/[0-9a-f]{64}\.sqlite$/.test(name),
    );
    expect(existsSync(join(storage, "holdfast-registry"))).toBe(true);
  });
  expect(stores).toEqual([]);
});
