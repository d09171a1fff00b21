import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, type FakePool, startFakePool, targets } from "../support/fake-pool.ts";
import { AGAIN, ask, connecting, meet, ONCE, poolWire, TARGET } from "../support/pool-caller.ts";
import { EdgeCall } from "../support/raw-caller.ts";

/** Silence: what takes requests and says nothing is asked whether it is there. Each case has nodes of its own. */

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(32, [TARGET]);
});
afterAll(() => pool.stop());

/** Says nothing, ever: a process that stands still with its connections open. */
const silent: Answer = () => {};
const never = () => new Promise<never>(() => {});

describe.concurrent("a node that takes connections and reads nothing", { timeout: 60_000 }, () => {
  const frozen = connecting((socket) => void socket.pause());
  test.each([ONCE[0], ONCE[1], ONCE[3], AGAIN[0]])(
    "$what goes to the second",
    async ({ what: _what, ...call }) => {
      const began = performance.now();
      const { mark, node, second } = await meet(pool, frozen, call);
      expect([mark, node, second.sent.length]).toEqual(["target", second.id, 1]);
      expect(second.sent[0]!.body).toBe(call.body ?? "");
      // Asked after a second, and once more; on a busy machine it may take a while.
      expect(performance.now() - began).toBeLessThan(15_000);
    },
  );
});

describe.concurrent("a node that has taken the request and stands still", { timeout: 60_000 }, () => {
  test("a GET goes to the second, and the next requests at once", async () => {
    const [first, second] = pool.pair();
    first.answer = silent;
    first.health = never;
    const got = await ask(pool, { nodes: [first, second] });
    expect([got.node, second.sent[0]!.grant.attempt]).toEqual([second.id, 1]);
    const next = await ask(pool, { nodes: [first, second], ...ONCE[0] });
    expect([next.node, first.sent.length]).toEqual([second.id, 1]);
  });

  test("a POST waits for it to come back, but not for ever, and nobody else is asked", async () => {
    const [first, second] = pool.pair();
    first.answer = silent;
    first.health = never;
    const began = performance.now();
    const got = await ask(pool, { nodes: [first, second], ...ONCE[0] });
    expect([got.mark, got.reached, second.heads]).toEqual(["node_unreachable", "unknown", 0]);
    expect(performance.now() - began).toBeGreaterThan(15_000);
  });

  test("a POST is answered where it does come back", async () => {
    const [first, second] = pool.pair();
    const { promise, resolve } = Promise.withResolvers<void>();
    first.answer = (...all) => void promise.then(() => targets("late")(...all));
    const { health } = first;
    first.health = never;
    const asked = ask(pool, { nodes: [first, second], ...ONCE[0] });
    await pause(5_000);
    first.health = health;
    await pause(1_000);
    resolve();
    expect(await asked).toMatchObject({ mark: "target", node: first.id, body: "late" });
    expect(second.heads).toBe(0);
  });
});

describe.concurrent("a target that takes its time", { timeout: 60_000 }, () => {
  const slow: Answer = (...all) => void setTimeout(() => targets("slow")(...all), 4_000);

  test.each([
    { what: "is waited for, as long as its node is there", health: [200, "ok"] },
    { what: "is waited for, also where its node drains", health: [503, "draining"] },
  ] as const)("$what", async ({ health: [status, word] }) => {
    const [first, second] = pool.pair();
    first.answer = slow;
    let asked = 0;
    first.health = () => {
      asked++;
      return [status, { status: word, node: first.id }];
    };
    const got = await ask(pool, { nodes: [first, second] });
    expect([got.node, got.body, second.heads]).toEqual([first.id, "slow", 0]);
    expect(asked).toBeGreaterThan(0);
  });

  test("is waited for as the last resort too, where its node was thought to be gone", async () => {
    const [first] = pool.pair();
    await first.shut();
    expect(await ask(pool, { nodes: [first] })).toMatchObject({ mark: "node_unreachable" });
    await first.open();
    first.answer = slow;
    expect(await ask(pool, { nodes: [first] })).toMatchObject({ mark: "target", body: "slow" });
  });
});

describe.concurrent("a caller that goes away is no failure of the node", { timeout: 60_000 }, () => {
  test.each([
    {
      how: "with a reset while it waits",
      framing: 10,
      sends: "amount=100",
      leave: (call: EdgeCall) => call.reset(),
    },
    {
      how: "with a reset in a small body",
      framing: 10,
      sends: "amou",
      leave: (call: EdgeCall) => call.reset(),
    },
    {
      how: "with a reset in an upload",
      framing: 200_000,
      sends: "x".repeat(80_000),
      leave: (call: EdgeCall) => call.reset(),
    },
    {
      how: "with a FIN in an upload",
      framing: 200_000,
      sends: "x".repeat(80_000),
      leave: (call: EdgeCall) => call.halfClose(),
    },
    {
      how: "with a reset in chunks",
      framing: "chunked",
      sends: "x".repeat(80_000),
      leave: (call: EdgeCall) => call.reset(),
    },
    {
      how: "with a FIN in chunks",
      framing: "chunked",
      sends: "x".repeat(80_000),
      leave: (call: EdgeCall) => call.halfClose(),
    },
  ] as const)("$how", async ({ framing, sends, leave }) => {
    const nodes = pool.pair();
    const [first, second] = nodes;
    first.answer = silent;
    const wire = await poolWire(pool, { nodes, method: "POST", framing });
    const call = await EdgeCall.begin(pool.edge, wire);
    await call.send(sends);
    await pause(500);
    leave(call);
    await pause(500);
    first.answer = targets("still here");
    const next = await ask(pool, { nodes });
    expect([next.node, next.body, second.heads]).toEqual([first.id, "still here", 0]);
  });
});
