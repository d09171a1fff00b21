import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DeliveriesStack, deliveriesStack } from "../support/deliveries-stack.ts";

/** What was accepted is delivered or among the dead, whatever happens to the edge, the nodes and the target meanwhile. */

let stack: DeliveriesStack;
/** How many times the target fails an event before it takes it, and events that it never answers. */
const failing = new Map<string, number>();
const unanswered = new Set<string>();

function answer(id: string, response: ServerResponse): void {
  if (unanswered.has(id)) return;
  const left = failing.get(id) ?? 0;
  failing.set(id, left - 1);
  response.writeHead(left > 0 ? 500 : 200).end();
}

beforeAll(async () => {
  stack = await deliveriesStack(answer);
});

afterAll(() => stack.stop());

const cameOf = (id: string) => stack.came.filter((one) => one.id === id);

test("the same event a hundred times at once is one delivery", async () => {
  await stack.addRoute("once", { dedupe: "header:X-Event-Id" });
  const answers = await Promise.all(Array.from({ length: 100 }, () => stack.call("once", "evt-once")));
  expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
  expect(answers.map(({ status }) => status).toSorted((a, b) => b - a)).toEqual([
    202,
    ...Array.from({ length: 99 }, () => 200),
  ]);
  expect(await stack.drained("once")).toBe(true);
  expect(await stack.counts("once")).toMatchObject({ accepted: 1, delivered: 1 });
  expect(cameOf("evt-once")).toHaveLength(1);
});

test("while all nodes are down nothing is spent, and afterwards all is delivered, no faster than allowed", async () => {
  // Three attempts within two seconds: the nodes are away for several times as long.
  const [count, perSecond] = [60, 16];
  await stack.addRoute("night", { schedule: [0, 1, 1], limits: { deliveriesPerSecond: perSecond } });
  const nodes = stack.stack.nodes.map(({ id }) => id);
  for (const id of nodes) {
    const node = stack.stack.process(id);
    const gone = once(node, "exit");
    node.kill("SIGKILL");
    await gone;
  }
  const ids = Array.from({ length: count }, (_, n) => `evt-night-${n}`);
  const answers = await Promise.all(ids.map((id) => stack.call("night", id)));
  expect(answers.every(({ status }) => status === 202)).toBe(true);
  await sleep(10_000);
  expect(await stack.counts("night")).toMatchObject({ accepted: count, pending: count, dead: 0 });
  const details = await Promise.all(answers.map(({ id }) => stack.show("night", id)));
  expect(details.map(({ spent }) => spent)).toEqual(details.map(() => 0));
  const tried = details.flatMap(({ attempts }) => attempts);
  expect(tried.length).toBeGreaterThan(0);
  expect(tried.filter(({ result }) => result !== "relay")).toEqual([]);

  await Promise.all(nodes.map((id) => stack.stack.restartNode(id)));
  expect(await stack.drained("night", 60_000)).toBe(true);
  expect(await stack.counts("night")).toMatchObject({ delivered: count, dead: 0 });
  const times = stack.came.filter(({ id }) => ids.includes(id)).map(({ at }) => at);
  expect(times).toHaveLength(count);
  // Each of the eight stores may begin with a burst of its share.
  for (const from of times) {
    const within = times.filter((at) => at >= from && at < from + 1_000).length;
    expect(within).toBeLessThanOrEqual(2 * perSecond);
  }
});

test("a target that fails ten times in a row gets the event in the end", async () => {
  await stack.addRoute("failing", { schedule: Array.from({ length: 15 }, () => 0.2) });
  failing.set("evt-failing", 10);
  const { id } = await stack.call("failing", "evt-failing");
  // Ten failures in a row open the breaker: it probes half a minute later.
  expect(await stack.drained("failing", 90_000)).toBe(true);
  expect(await stack.counts("failing")).toMatchObject({ delivered: 1, dead: 0 });
  expect(cameOf("evt-failing")).toHaveLength(11);
  expect((await stack.show("failing", id)).spent).toBe(11);
});

test("an event that ends the edge each time is given up, and others go on", async () => {
  await stack.addRoute("poison");
  unanswered.add("evt-poison");
  const { id } = await stack.call("poison", "evt-poison");
  for (let kills = 1; kills <= 10; kills++) {
    // It is let wait longer each time, up to half a minute.
    await expect.poll(() => cameOf("evt-poison").length, { timeout: 60_000 }).toBe(kills);
    await stack.killEdge();
    await stack.stack.startEdge();
    expect((await stack.call("poison", `evt-good-${kills}`)).status).toBe(202);
  }
  expect(await stack.drained("poison", 60_000)).toBe(true);
  expect(await stack.counts("poison")).toMatchObject({ delivered: 10, dead: 1 });
  const { state, spent, attempts } = await stack.show("poison", id);
  expect({ state, spent }).toEqual({ state: "dead", spent: 0 });
  expect(attempts.map(({ result }) => result)).toEqual(attempts.map(() => "interrupted"));
  expect(cameOf("evt-poison")).toHaveLength(10);
});

test("what came due while the edge was down is delivered, though nobody calls", async () => {
  await stack.addRoute("due", { schedule: [4] });
  await stack.call("due", "evt-due");
  await stack.killEdge();
  await sleep(6_000);
  expect(cameOf("evt-due")).toEqual([]);
  await stack.stack.startEdge();
  await expect.poll(() => cameOf("evt-due").length).toBe(1);
});
