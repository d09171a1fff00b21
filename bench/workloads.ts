import { hooksBacklog, hooksRate, hooksStored } from "./hooks.ts";
import { warmEdge } from "./warm-edge.ts";
import type { Workload } from "./workload.ts";

/** All of the bench, in the order in which it runs. */
export const WORKLOADS: readonly Workload[] = [warmEdge, hooksRate, hooksBacklog, hooksStored];
