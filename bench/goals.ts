import { rounded } from "./stats.ts";

/** What a ratio has to be. */
interface Limit {
  readonly limit: number;
  readonly sense: "at most" | "at least";
  /** What is divided by what. */
  readonly what: string;
}

const atMost = (limit: number, what: string): Limit => ({ limit, sense: "at most", what });
const atLeast = (limit: number, what: string): Limit => ({ limit, sense: "at least", what });

/** What the relay means to reach: ratios of figures of one run, each by the name that it is told by. */
export const GOALS = {
  "cold-1k-direct": atMost(0.7, "a cold call of 1 kB, to direct"),
  "cold-1k-squid": atMost(0.6, "a cold call of 1 kB, to Squid's CONNECT"),
  "cold-100k-direct": atMost(
    0.5,
    "a cold call of 102,400 bytes, with a window of 60 segments towards callers, to direct",
  ),
  "warm-added-p50": atMost(
    1,
    "what the node adds to a warm request at p50, one at a time, to what Squid adds",
  ),
  "node-cpu-32": atMost(1.3, "the node's CPU for each of 32 at once, its grant checked, to Squid's"),
  "edge-cpu-32": atMost(1.6, "the edge's CPU for each of 32 at once, to a bare Hono pass-through's"),
  "connect-rate-32": atLeast(0.8, "CONNECTs per second, 32 at once, by one process, to Squid's"),
  "connect-rate-32-two": atLeast(1.2, "the same by two processes on one address, to one Squid"),
  "bulk-down-1": atLeast(1, "GB/s through one CONNECT, down, to the best proxy as it comes"),
  "bulk-down-16": atLeast(1, "the same through 16"),
  "bulk-up-1": atLeast(1, "GB/s through one CONNECT, up, to the best proxy as it comes"),
  "bulk-up-16": atLeast(1, "the same through 16"),
  "bulk-splice-down-1": atLeast(0.8, "GB/s through one CONNECT, down, to HAProxy with forced splice"),
  "bulk-splice-down-16": atLeast(0.8, "the same through 16"),
  "bulk-splice-up-1": atLeast(0.8, "GB/s through one CONNECT, up, to HAProxy with forced splice"),
  "bulk-splice-up-16": atLeast(0.8, "the same through 16"),
  "bulk-cpu": atMost(0.6, "CPU for each GB through CONNECT, to HAProxy's as it comes"),
  "stream-bulk": atLeast(
    0.7,
    "GB/s of a stream by edge and node, to a bare ws-to-TCP bridge behind the same pass-through",
  ),
  "tunnel-memory": atMost(20, "kB for each idle tunnel, of 5,000"),
  "pgbench-tps": atLeast(0.6, "pgbench's transactions per second through the tunnel, to direct"),
} as const satisfies Readonly<Record<string, Limit>>;

export type GoalName = keyof typeof GOALS;

/** What a run found of its goals. */
export type Ratios = Partial<Readonly<Record<GoalName, number>>>;

/** One goal as it came out. */
export interface Verdict {
  readonly goal: GoalName;
  readonly ratio: number;
  readonly limit: number;
  readonly verdict: "met" | "short";
}

/** Goals in their own order, with what was found of them. What is no number is short. */
export function verdicts(ratios: Ratios): Verdict[] {
  const found: Verdict[] = [];
  for (const goal of Object.keys(GOALS) as GoalName[]) {
    const ratio = ratios[goal];
    if (ratio === undefined) continue;
    const { limit, sense } = GOALS[goal];
    const isMet = sense === "at most" ? ratio <= limit : ratio >= limit;
    found.push({ goal, ratio, limit, verdict: isMet ? "met" : "short" });
  }
  return found;
}

/** `goal NAME ratio=R limit=L met|short` */
export function lineOf({ goal, ratio, limit, verdict }: Verdict): string {
  return `goal ${goal} ratio=${rounded(ratio)} limit=${limit} ${verdict}`;
}
