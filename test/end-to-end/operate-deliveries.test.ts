import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import type {
  DeliveryCounts,
  DeliveryDetail,
  DeliveryOptions,
  DeliveryRow,
} from "../../protocol/deliveries.ts";
import { handOver } from "../support/deliveries.ts";
import { type Answer, type FakePool, startFakePool, targets } from "../support/fake-pool.ts";
import { eventually } from "../support/node-log.ts";
import { addClient, auditOf, type MadeClient } from "../support/operator-calls.ts";

/** What an operator sees of deliveries, and does to them, over all of an owner's stores. */

const TARGET = "https://target.example.com";
let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(1, [TARGET]);
});
afterAll(() => pool.stop());
beforeEach(() => {
  node().answer = targets("ok");
});

const node = () => pool.nodes[0]!;
const admin = async <T>(method: "GET" | "POST" | "DELETE", path: string, body?: object) =>
  (await adminCall(pool.operator, method, `/admin/deliveries/${path}`, body && { body })).value as T;
const counts = (client: string) => admin<DeliveryCounts>("GET", `client:${client}/counts`);
const list = async (client: string, query = "") =>
  (await admin<{ deliveries: DeliveryRow[] }>("GET", `client:${client}?limit=100${query}`)).deliveries;
const register = (id: string) => addClient(pool.operator, id, { allow: [TARGET] });

/** Hands over so many requests, one after the other. */
async function accept(client: MadeClient, n: number, delivery?: DeliveryOptions): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < n; i++) {
    const call = { method: "POST", url: `${TARGET}/${client.id}/${i}`, framing: 2 };
    const told = await handOver(client.relayUrl, call, "{}", delivery);
    expect(told.status).toBe(202);
    ids.push(told.json["id"] as string);
  }
  return ids;
}

/** Waits until the counts are so, and add up. */
async function expectCounts(client: string, expected: Partial<DeliveryCounts>): Promise<void> {
  await expect.poll(() => counts(client), { timeout: 30_000, interval: 100 }).toMatchObject(expected);
  const { accepted, delivered, pending, dead, purged } = await counts(client);
  expect(delivered + pending + dead + purged).toBe(accepted);
}

const fails: Answer = targets("no", 500);
const ONCE = { schedule: [0] };

test("lists and counts all of an owner's stores, page by page", { timeout: 60_000 }, async () => {
  const client = await register("many");
  const ids = await accept(client, 30);
  await expectCounts("many", { accepted: 30, delivered: 30 });
  const told: DeliveryRow[] = [];
  for (let before = ""; ;) {
    const page = await admin<{ deliveries: DeliveryRow[]; next: string | null }>(
      "GET",
      `client:many?limit=7${before}`,
    );
    told.push(...page.deliveries);
    if (page.next === null) break;
    before = `&before=${page.next}`;
  }
  expect(told.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  const times = told.map(({ accepted }) => accepted);
  expect(times).toEqual(times.toSorted((a, b) => b - a));
  // They are spread over more stores than one.
  expect(new Set(ids.map((id) => id[4])).size).toBeGreaterThan(2);
  const middle = times[15]!;
  expect(await list("many", `&from=${middle}`)).toHaveLength(times.filter((at) => at >= middle).length);
  expect(await list("many", `&to=${middle}&state=delivered`)).toHaveLength(
    times.filter((at) => at < middle).length,
  );
});

test("shows one with its attempts and its target's answer", async () => {
  node().answer = targets("come back later", 503);
  const client = await register("shown");
  const [id] = await accept(client, 1, ONCE);
  await expectCounts("shown", { dead: 1 });
  const detail = await admin<DeliveryDetail>("GET", `client:shown/${id}`);
  expect(detail).toMatchObject({ id, owner: "client:shown", kind: "call", state: "dead", spent: 1 });
  expect(detail.attempts).toMatchObject([{ n: 1, result: "answered", status: 503, node: "node-1" }]);
  expect(atob(detail.answer!.body)).toBe("come back later");
});

test("pause keeps what comes, and resume delivers it at once", async () => {
  const client = await register("paused");
  await accept(client, 1);
  await expectCounts("paused", { delivered: 1 });
  await admin("POST", "client:paused/pause", { reason: "moving house" });
  const before = node().sent.length;
  await accept(client, 6);
  await pause(1_000);
  expect(node().sent.length).toBe(before);
  await expectCounts("paused", { accepted: 7, delivered: 1, pending: 6 });
  await admin("POST", "client:paused/resume");
  await expectCounts("paused", { delivered: 7 });
});

/** More than two for some of the stores, whatever goes where, and less than opens the breaker of one. */
const MANY = 20;

describe("replay and purge", { timeout: 60_000 }, () => {
  test("of one", async () => {
    node().answer = fails;
    const client = await register("one");
    const [first, second] = await accept(client, 2, ONCE);
    await expectCounts("one", { dead: 2 });
    node().answer = targets("ok");
    await admin("POST", `client:one/${first}/replay`);
    await expectCounts("one", { delivered: 1, dead: 1 });
    await admin("DELETE", `client:one/${second}`);
    await expectCounts("one", { accepted: 2, delivered: 1, dead: 0, purged: 1 });
    for (const [method, path] of [
      ["GET", ""],
      ["DELETE", ""],
      ["POST", "/replay"],
    ] as const) {
      await expect(admin(method, `client:one/${second}${path}`)).rejects.toMatchObject({
        code: "delivery_unknown",
      });
    }
    expect(
      (await auditOf(pool.operator, "one")).map(({ action, detail }) => [action, detail]).slice(0, 2),
    ).toEqual([
      ["deliveries.purge", { id: second }],
      ["deliveries.replay", { id: first }],
    ]);
  });

  test("of many goes at its rate, and leaves what its filter leaves", async () => {
    node().answer = fails;
    const client = await register("sweep");
    await accept(client, MANY, ONCE);
    await expectCounts("sweep", { dead: MANY });
    const [latest] = await list("sweep");
    node().answer = targets("ok");
    const began = Date.now();
    await admin("POST", "client:sweep/sweep", {
      act: "replay",
      filter: { state: "dead", to: latest!.accepted },
      rate: 16,
    });
    const delivered = async () => (await counts("sweep")).delivered;
    await eventually(async () => (await delivered()) >= MANY - 2, "nearly all are made again", 30_000);
    // Each store begins with its share of a second.
    expect(Date.now() - began).toBeGreaterThan(1_000);
    await expectCounts("sweep", { dead: MANY - (await delivered()) });
    expect((await list("sweep", "&state=dead")).map(({ id }) => id)).toContain(latest!.id);

    await admin("POST", "client:sweep/sweep", { act: "purge", filter: { state: "dead" }, rate: 1_000 });
    await expectCounts("sweep", { dead: 0 });
    await admin("POST", "client:sweep/sweep", {
      act: "purge",
      filter: { from: began - 60_000 },
      rate: 1_000,
    });
    await expectCounts("sweep", { accepted: MANY, delivered: 0, pending: 0, dead: 0, purged: MANY });
    expect((await auditOf(pool.operator, "sweep"))[2]).toMatchObject({
      action: "deliveries.replay",
      detail: { filter: { state: "dead", to: latest!.accepted }, rate: 16 },
    });
  });
});

test("the head of a lane is skipped, and those behind it go on", async () => {
  node().answer = fails;
  const client = await register("lanes");
  const [head, next] = await accept(client, 2, { lane: "cart 1", schedule: [0, 3_600] });
  await expect
    .poll(async () => (await list("lanes", "&lane=cart%201")).map(({ spent }) => spent))
    .toEqual([0, 1]);
  node().answer = targets("ok");
  expect(await admin("POST", "client:lanes/skip", { lane: "cart 1" })).toEqual({ id: head });
  await expectCounts("lanes", { delivered: 1, dead: 1 });
  expect((await admin<DeliveryDetail>("GET", `client:lanes/${next}`)).state).toBe("delivered");
  await expect(admin("POST", "client:lanes/skip", { lane: "cart 1" })).rejects.toMatchObject({
    detail: "nothing is pending in this lane",
  });
});

test(
  "what a removed client handed over is held and shown, and sent when it is resumed",
  { timeout: 60_000 },
  async () => {
    const client = await register("gone");
    await admin("POST", "client:gone/pause", { reason: "to be removed" });
    const [id] = await accept(client, 1);
    await admin("POST", "client:gone/resume");
    await expectCounts("gone", { delivered: 1 });
    node().answer = fails;
    const [waiting] = await accept(client, 1, { schedule: [0, 2, 2] });
    // What is under way may end as it will.
    await expect.poll(async () => (await list("gone"))[0]).toMatchObject({ id: waiting, spent: 1 });
    await adminCall(pool.operator, "DELETE", "/admin/clients/gone", { ifMatch: "*" });
    node().answer = targets("ok");
    await pause(3_000);
    await expectCounts("gone", { accepted: 2, delivered: 1, pending: 1 });
    expect(await counts("gone")).toMatchObject({
      isThere: false,
      pause: { reason: "the client gone was removed" },
    });
    expect((await list("gone")).map((row) => row.id)).toEqual([waiting, id]);
    await register("gone");
    await pause(1_000);
    await expectCounts("gone", { pending: 1 });
    await admin("POST", "client:gone/resume");
    await expectCounts("gone", { delivered: 2 });
  },
);
