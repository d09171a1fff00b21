import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { handOver } from "../support/deliveries.ts";
import { type FakePool, startFakePool, targets } from "../support/fake-pool.ts";
import { eventually } from "../support/node-log.ts";
import { askRevocations } from "../support/operator-calls.ts";

/** Deliveries that are due after a restart, and nobody sends anything: by their alarm, and where that was lost, by the nodes' polling. */

const TARGET = "https://target.example.com";
let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(1, [TARGET]);
});
afterAll(() => pool.stop());

/** Hands one over that fails at first, and is due again while the edge is down. */
async function leaveOne(whileDown?: (storage: string) => void): Promise<number> {
  const node = pool.nodes[0]!;
  node.answer = targets("no", 500);
  const before = node.sent.length;
  const call = { method: "POST", url: `${TARGET}/`, framing: 2 };
  expect((await handOver(pool.relayUrl, call, "{}", { schedule: [0, 1] })).status).toBe(202);
  await eventually(() => node.sent.length === before + 1, "the first attempt is made");
  // Its end is stored, too.
  await pause(300);
  await pool.restartEdge(["node-1"], whileDown);
  node.answer = targets("ok");
  return before + 1;
}

/** Takes the alarms out of workerd's own table. */
function loseAlarms(storage: string): void {
  const database = new DatabaseSync(join(storage, "holdfast-deliveries", "metadata.sqlite"));
  const { changes } = database.prepare("DELETE FROM _cf_ALARM").run();
  database.close();
  expect(changes).toBeGreaterThan(0);
}

test("an alarm that was due while the edge was down makes the delivery", { timeout: 30_000 }, async () => {
  const node = pool.nodes[0]!;
  const before = await leaveOne();
  await expect.poll(() => node.sent.length, { timeout: 20_000 }).toBe(before + 1);
});

test("a store that lost its alarm is found by what nodes ask", { timeout: 30_000 }, async () => {
  const node = pool.nodes[0]!;
  const before = await leaveOne(loseAlarms);
  await pause(3_000);
  expect(node.sent.length).toBe(before);
  await askRevocations(pool);
  await expect.poll(() => node.sent.length, { timeout: 20_000 }).toBe(before + 1);
});
