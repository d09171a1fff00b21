import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { DeliveryOptions } from "../../protocol/deliveries.ts";
import { askAbout, handOver } from "../support/deliveries.ts";
import { type Answer, type FakePool, startFakePool, targets } from "../support/fake-pool.ts";
import { askRevocations } from "../support/operator-calls.ts";

/** What is stored when the edge is killed, and what becomes of it when it is there again: workerd, and a node of the test's. */

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(1, ["https://target.example.com"]);
});
afterAll(() => pool.stop());
beforeEach(() => {
  node().answer = targets("ok");
});

const node = () => pool.nodes[0]!;

async function accepted(body: string, delivery: DeliveryOptions = {}): Promise<string> {
  const call = { method: "POST", url: "https://target.example.com/in", framing: body.length };
  const { status, json } = await handOver(pool.relayUrl, call, body, delivery);
  expect(status).toBe(202);
  return json["id"] as string;
}

const arrivals = (body: string) => node().sent.filter((sent) => sent.body === body).length;

/** Nothing else goes on while the edge is down: nothing is awaited there. */
function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test("an alarm that came due while the edge was down delivers without any traffic", async () => {
  node().answer = targets("not yet", 500);
  const id = await accepted("past-due", { schedule: [0, 2] });
  await expect.poll(() => arrivals("past-due")).toBe(1);
  await pause(500);
  node().answer = targets("ok");
  await pool.restartEdge(undefined, () => sleepSync(4_000));
  await expect.poll(() => arrivals("past-due")).toBe(2);
  await expect.poll(async () => (await askAbout(pool.relayUrl, id)).detail.state).toBe("delivered");
});

test("what is under way when the edge is killed goes again, and spends nothing", async () => {
  const hangs: Answer = () => {};
  node().answer = hangs;
  const ids = await Promise.all(["one", "two", "three"].map((body) => accepted(body)));
  await expect.poll(() => arrivals("one") + arrivals("two") + arrivals("three")).toBe(3);
  const { detail: before } = await askAbout(pool.relayUrl, ids[0]!);
  expect(before.attempts).toMatchObject([{ n: 1, ended: null, result: null }]);
  node().answer = targets("ok");
  await pool.restartEdge();
  await expect.poll(() => arrivals("one") + arrivals("two") + arrivals("three")).toBe(6);
  for (const id of ids) {
    await expect.poll(async () => (await askAbout(pool.relayUrl, id)).detail.state).toBe("delivered");
    const { detail } = await askAbout(pool.relayUrl, id);
    expect(detail).toMatchObject({ spent: 1, attempts: [{ result: "interrupted" }, { result: "answered" }] });
  }
});

test("what was accepted a moment before is there", async () => {
  const bodies = Array.from({ length: 40 }, (_, i) => `moment-${i}`);
  const ids = await Promise.all(bodies.map((body) => accepted(body)));
  await pool.restartEdge();
  for (const id of ids) {
    await expect.poll(async () => (await askAbout(pool.relayUrl, id)).detail.state).toBe("delivered");
  }
  expect(bodies.filter((body) => arrivals(body) === 0)).toEqual([]);
});

/** Hands one over whose next attempt comes due while the edge is down, and its alarm with all others is lost. */
async function acceptedAndLost(body: string): Promise<string> {
  node().answer = targets("not yet", 500);
  const id = await accepted(body, { schedule: [0, 1] });
  await expect.poll(() => arrivals(body)).toBe(1);
  await pause(500);
  node().answer = targets("ok");
  let gone = 0;
  await pool.restartEdge(undefined, (storage) => {
    for (const file of metadataFiles(storage)) {
      const database = new DatabaseSync(file);
      gone += Number(database.prepare("DELETE FROM _cf_ALARM").run().changes);
      database.close();
    }
    sleepSync(1_500);
  });
  expect(gone).toBeGreaterThan(0);
  await pause(2_000);
  expect(arrivals(body)).toBe(1);
  return id;
}

test("an alarm that is gone is set again when its store is asked anything", async () => {
  const id = await acceptedAndLost("lost");
  await askAbout(pool.relayUrl, id);
  await expect.poll(() => arrivals("lost")).toBe(2);
});

test("an alarm that is gone is set again by what nodes ask, though nobody sends anything", async () => {
  await acceptedAndLost("nobody asks");
  await askRevocations(pool);
  await expect.poll(() => arrivals("nobody asks")).toBe(2);
});

/** Where workerd has the alarms of its objects, besides the objects' own databases. */
function metadataFiles(storage: string): string[] {
  return readdirSync(storage)
    .map((folder) => join(storage, folder, "metadata.sqlite"))
    .filter((file) => existsSync(file));
}
