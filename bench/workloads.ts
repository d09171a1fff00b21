import { growthTargets } from "./growth-targets.ts";
import { hooksBacklog, hooksRate, hooksStored } from "./hooks.ts";
import { warmEdge } from "./warm-edge.ts";
import { warmNode } from "./warm-node.ts";
import type { Workload } from "./workload.ts";

/** All of the bench, in the order in which it runs. */
export const WORKLOADS: readonly Workload[] = [
  warmNode,
  warmEdge,
  growthTargets,
  hooksRate,
  hooksBacklog,
  hooksStored,
];
