import { describe, expect, test } from "vitest";
import { newRequestId } from "../../protocol/tokens.ts";
import { rankNodes } from "../../worker/nodes.ts";

const nodesOf = (count: number) => Array.from({ length: count }, (_, i) => ({ id: `node-${i + 1}` }));
const IDS = Array.from({ length: 20_000 }, newRequestId);
const first = (nodes: readonly { readonly id: string }[], id: string) => rankNodes(nodes, id)[0]!.id;

describe("rendezvous hashing", () => {
  test.each([2, 3, 5, 16])("spreads requests evenly over %i nodes", (count) => {
    const nodes = nodesOf(count);
    const shares = new Map(nodes.map(({ id }) => [id, 0]));
    for (const id of IDS) shares.set(first(nodes, id), shares.get(first(nodes, id))! + 1);
    const even = IDS.length / count;
    // Five standard deviations of a fair draw.
    const margin = 5 * Math.sqrt(even * (1 - 1 / count));
    for (const share of shares.values()) expect(Math.abs(share - even)).toBeLessThan(margin);
  });

  test("spreads the requests of a node that leaves over all others", () => {
    const nodes = nodesOf(4);
    const left = nodes.slice(1);
    const moved = IDS.filter((id) => first(nodes, id) === "node-1").map((id) => first(left, id));
    for (const { id } of left) {
      expect(moved.filter((other) => other === id).length / moved.length).toBeCloseTo(1 / 3, 1);
    }
  });

  test("moves no request but those of the node that leaves, or those that a new one takes", () => {
    const nodes = nodesOf(5);
    const [gone, ...left] = nodes;
    for (const id of IDS) {
      const before = rankNodes(nodes, id).map((node) => node.id);
      expect(rankNodes(left, id).map((node) => node.id)).toEqual(before.filter((node) => node !== gone!.id));
    }
  });

  test("does not depend on the order in which nodes are configured", () => {
    const nodes = nodesOf(7);
    for (const id of IDS.slice(0, 1_000)) {
      expect(rankNodes(nodes.toReversed(), id)).toEqual(rankNodes(nodes, id));
    }
  });

  test("ranks all nodes, each once, and leaves its argument alone", () => {
    const nodes = Object.freeze(nodesOf(3));
    expect(new Set(rankNodes(nodes, IDS[0]!)).size).toBe(3);
    expect(rankNodes([], IDS[0]!)).toEqual([]);
  });

  test("is the same everywhere and for ever: two isolates of different builds must agree", () => {
    const ranks = ["AAAAAAAAAAAAAAAAAAAAAA", "AAECAwQFBgcICQoLDA0ODw"].map((id) =>
      rankNodes(nodesOf(4), id).map((node) => node.id),
    );
    expect(ranks).toMatchInlineSnapshot(`
      [
        [
          "node-4",
          "node-2",
          "node-1",
          "node-3",
        ],
        [
          "node-2",
          "node-1",
          "node-4",
          "node-3",
        ],
      ]
    `);
  });
});
