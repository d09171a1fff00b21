import { afterAll, beforeAll, expect, test } from "vitest";
import type { DeliveryAttempt } from "../../protocol/deliveries.ts";
import { handOver, untilSo } from "../support/deliveries.ts";
import { type Bench, startBench } from "../support/fidelity.ts";
import type { Script } from "../support/raw-origin.ts";

/** Whose fault silence is: a target's spends an attempt, a node's spends none. */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

const SILENT: Script = () => {};

/** One that reads none of the body either. */
const STALLED: Script = (exchange) => exchange.stall();

const secondsOf = ({ started, ended }: DeliveryAttempt) => (ended! - started) / 1_000;

async function handedOver(size: number, schedule: readonly number[] = [0]): Promise<unknown> {
  const call = { method: "POST", url: bench.tls.url, framing: size };
  const told = await handOver(bench.relayUrl, call, new Uint8Array(size), { schedule });
  expect(told.status).toBe(202);
  return told.json["id"];
}

test.for([
  ["says nothing", SILENT, 2],
  ["reads no body", STALLED, 20_000_000],
] as const)("a target that %s for 15 s has failed", async ([, script, size]) => {
  bench.tls.next(script);
  const id = await handedOver(size);
  const exchange = await bench.tls.request();
  const detail = await untilSo(bench.relayUrl, id, ({ state }) => state !== "pending");
  expect(detail).toMatchObject({
    state: "dead",
    spent: 1,
    attempts: [{ result: "failed", code: "target_timeout", node: "node-1" }],
  });
  const seconds = secondsOf(detail.attempts[0]!);
  expect(seconds).toBeGreaterThan(14.5);
  expect(seconds).toBeLessThan(18);
  // The node is told that nobody waits any longer. Who reads nothing doesn't hear of it.
  if (script === SILENT) await exchange.closed;
});

test("a target whose answer comes to no end has answered", async () => {
  bench.tls.next((exchange) => exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
  const id = await handedOver(2);
  const detail = await untilSo(bench.relayUrl, id, ({ state }) => state !== "pending");
  expect(detail).toMatchObject({
    state: "delivered",
    answer: { status: 200, body: btoa("half"), isCut: true },
    attempts: [{ egress: "127.0.0.2" }],
  });
  await bench.tls.request();
});

test("a node that stands still spends nothing, however much waits for it", async () => {
  const node = bench.stack.process("node-1");
  node.kill("SIGSTOP");
  const ids: unknown[] = [];
  for (let n = 0; n < 60; n++) ids.push(await handedOver(2));
  const isTried = ({ attempts }: { attempts: readonly DeliveryAttempt[] }) =>
    attempts.some(({ ended }) => ended !== null);
  const [first] = await Promise.all(ids.slice(0, 8).map((id) => untilSo(bench.relayUrl, id, isTried)));
  expect(first).toMatchObject({ state: "pending", spent: 0 });
  node.kill("SIGCONT");
  for (const id of ids) {
    const detail = await untilSo(bench.relayUrl, id, ({ state }) => state !== "pending");
    expect(detail).toMatchObject({ state: "delivered", spent: 1 });
    const others = new Set(detail.attempts.map(({ result }) => result));
    others.delete("answered");
    expect([[], ["relay"]]).toContainEqual([...others]);
  }
});
