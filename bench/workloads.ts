import { cold } from "./cold.ts";
import { database } from "./database.ts";
import { growthClients } from "./growth-clients.ts";
import { growthStreams } from "./growth-streams.ts";
import { growthTargets } from "./growth-targets.ts";
import { connectBulk, connectMemory, connectRate } from "./connect.ts";
import { hooksBacklog, hooksRate, hooksStored } from "./hooks.ts";
import { streamBulk } from "./stream-bulk.ts";
import { warmEdge } from "./warm-edge.ts";
import { warmNode } from "./warm-node.ts";
import { warmRelay } from "./warm-relay.ts";
import type { Workload } from "./workload.ts";

/** All of the bench, in the order in which it runs. */
export const WORKLOADS: readonly Workload[] = [
  cold,
  warmNode,
  warmEdge,
  warmRelay,
  connectRate,
  connectBulk,
  streamBulk,
  connectMemory,
  growthClients,
  growthTargets,
  growthStreams,
  hooksRate,
  hooksBacklog,
  hooksStored,
  database,
];
