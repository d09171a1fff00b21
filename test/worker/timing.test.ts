import { expect, test } from "vitest";
import { edgeTiming } from "../../worker/timing.ts";

test.for([
  ["no node was called", null, 1.25, undefined, "edge_auth;dur=1.3"],
  ["a node gave no answer", null, 1, 30, "edge_auth;dur=1.0, edge_node;dur=30.0"],
  [
    "the node's own time is taken away",
    "node_queue;dur=1.0, dns;dur=0.5, target;dur=20.0, connection;desc=new",
    2,
    24,
    "edge_auth;dur=2.0, edge_node;dur=2.5, node_queue;dur=1.0, dns;dur=0.5, target;dur=20.0, connection;desc=new",
  ],
  [
    "clocks that disagree give no time below zero",
    "target;dur=20.1",
    0,
    20,
    "edge_auth;dur=0.0, edge_node;dur=0.0, target;dur=20.1",
  ],
] as const)("%s", ([, node, auth, call, expected]) => {
  expect(edgeTiming(node, auth, call)).toBe(expected);
});
