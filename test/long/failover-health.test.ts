import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRelay } from "../../client/index.ts";
import { RelayError } from "../../protocol/errors.ts";
import {
  type FakePool,
  type FakePoolNode,
  fails,
  resets,
  startFakePool,
  targets,
} from "../support/fake-pool.ts";
import { failureOf } from "../support/fidelity.ts";
import { eventually } from "../support/node-log.ts";
import { ask, ONCE, TARGET } from "../support/pool-caller.ts";

/** What becomes of a node that has failed. */

const draining = fails(new RelayError("node_draining", "it says so"));

describe("a node that has failed", () => {
  let pool: FakePool;
  beforeAll(async () => {
    pool = await startFakePool(8, [TARGET]);
  });
  afterAll(() => pool.stop());

  /** Asks until the first node answers again; in milliseconds. */
  async function untilBack(nodes: readonly [FakePoolNode, FakePoolNode]): Promise<number> {
    const began = performance.now();
    for (;;) {
      const { node } = await ask(pool, { nodes });
      if (node === nodes[0].id) return performance.now() - began;
      if (performance.now() - began > 25_000) expect.fail("the node never got a request again");
      await pause(50);
    }
  }

  test(
    "gets no request more until it has been well for a while, and then its share",
    { timeout: 60_000 },
    async () => {
      const nodes = pool.pair();
      const [first, second] = nodes;
      first.answer = draining;
      first.health = () => [503, { status: "draining", node: first.id }];
      // The platform's own probe must not be what finds it out.
      for (let i = 0; i < 20; i++) {
        const { mark } = await ask(pool, { nodes, ...ONCE[0] });
        expect(mark).toBe("target");
      }
      await pause(3_000);
      await Promise.all(Array.from({ length: 20 }, () => ask(pool, { nodes })));
      expect(first.heads).toBeLessThanOrEqual(1);
      expect(second.sent).toHaveLength(40);
      let goods = 0;
      first.answer = targets("well again");
      first.health = () => {
        goods++;
        return [200, { status: "ok", node: first.id }];
      };
      expect(await untilBack(nodes)).toBeGreaterThan(1_000);
      expect(goods).toBeGreaterThanOrEqual(3);
      const served = nodes.map(({ sent }) => sent.length);
      const ordered = [nodes, nodes.toReversed()];
      await Promise.all(Array.from({ length: 40 }, (_, i) => ask(pool, { nodes: ordered[i % 2]! })));
      expect(nodes.map(({ sent }, i) => sent.length - served[i]!)).toEqual([20, 20]);
    },
  );

  test("is not asked again by its own word alone, while its answers are somebody else's", async () => {
    const nodes = pool.pair();
    const [first, second] = nodes;
    first.answer = resets;
    first.health = () => [200, { status: "ok", node: "node-0" }];
    await ask(pool, { nodes });
    first.answer = targets("not mine");
    await pause(3_000);
    await ask(pool, { nodes });
    expect(await ask(pool, { nodes })).toMatchObject({ node: second.id });
    expect(first.heads).toBe(1);
  });

  test("is the last resort, as long as none is better", async () => {
    const nodes = pool.pair();
    const [first, second] = nodes;
    for (const node of nodes) {
      node.answer = draining;
      node.health = () => [503, { status: "draining", node: node.id }];
    }
    expect(await ask(pool, { nodes, ...ONCE[0] })).toMatchObject({ mark: "node_draining", reached: "no" });
    second.answer = targets("it works");
    expect(await ask(pool, { nodes, ...ONCE[0] })).toMatchObject({ mark: "target", node: second.id });
    expect([first.sent.length, second.sent.length]).toEqual([2, 2]);
  });

  test("and what is meant for it alone goes there all the same", async () => {
    const nodes = pool.pair();
    const [first] = nodes;
    first.answer = draining;
    await ask(pool, { nodes });
    first.answer = targets("still here");
    expect(await ask(pool, { nodes: [first] })).toMatchObject({ mark: "target", body: "still here" });
  });
});

describe("an edge that is started anew", { timeout: 60_000 }, () => {
  let pool: FakePool;
  beforeAll(async () => {
    pool = await startFakePool(3, [TARGET]);
  });
  afterAll(() => pool.stop());

  test("knows which node is down, though one request alone had met it", async () => {
    const [first, second, third] = pool.nodes as [FakePoolNode, FakePoolNode, FakePoolNode];
    // Nothing of it answers from now on, not even that it is gone: a probe takes a second to find out.
    await first.takeConnections((socket) => void socket.pause());
    const got = await ask(pool, { nodes: [first, second] });
    expect(got.node).toBe(second.id);
    await eventually(() => pool.log().includes(`node ${first.id} is down`), "it was told");
    let connections = 0;
    await first.takeConnections(() => void connections++);
    await pool.restartEdge();
    // The first request hears what is known; it goes by another node, so that it doesn't matter if that takes long.
    expect(await ask(pool, { nodes: [third] })).toMatchObject({ node: third.id });
    const began = performance.now();
    expect(await ask(pool, { nodes: [first, second], ...ONCE[0] })).toMatchObject({ node: second.id });
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(first.heads).toBe(0);
  });

  test("goes on probing though a node that was down is configured no longer", async () => {
    const [, second, third] = pool.nodes as [FakePoolNode, FakePoolNode, FakePoolNode];
    let probes = 0;
    const { health } = second;
    second.health = () => {
      probes++;
      return health();
    };
    await pool.restartEdge([second.id, third.id]);
    await ask(pool, { nodes: [second, third] });
    await eventually(() => probes >= 3, "it was probed every five seconds", 25_000);
    expect(probes).toBe(3);
  });
});

describe("our client", () => {
  let pool: FakePool;
  beforeAll(async () => {
    pool = await startFakePool(3, [TARGET]);
  });
  afterAll(() => pool.stop());

  test("is told a typed failure of the node that it is pinned to", async () => {
    const [first, ...others] = pool.nodes as [FakePoolNode, ...FakePoolNode[]];
    await first.shut();
    const relay = createRelay(pool.relayUrl, { node: first.id });
    const error = await failureOf(relay.fetch(`${TARGET}/x`, { method: "POST", body: "x" }));
    expect([error.code, error.reached, error.node]).toEqual(["node_unreachable", "no", first.id]);
    expect(others.map(({ heads }) => heads)).toEqual([0, 0]);
  });

  test("notices nothing of a broken node otherwise", async () => {
    const relay = createRelay(pool.relayUrl);
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const init = i % 2 === 0 ? {} : { method: "POST", body: `n=${i}` };
        return (await relay.fetch(`${TARGET}/x`, init)).text();
      }),
    );
    expect(answers).toEqual(answers.map(() => "ok"));
    expect(pool.nodes.reduce((sum, { sent }) => sum + sent.length, 0)).toBe(40);
  });
});
