import { setTimeout as sleep } from "node:timers/promises";
import { type Fault, faultsOf } from "./faults.ts";
import { POOL, PUBLISHED } from "./hosts.ts";
import { judge, recoverySeconds } from "./ledger.ts";
import { CALM_MS, HOLD_MAX_MS, HOLD_MIN_MS, PROMPT_MS, SPREAD_DEADLINE_MS } from "./limits.ts";
import { shuffled } from "./random.ts";
import type { ChaosStack } from "./stack.ts";
import type { Watch } from "./watch.ts";

/** What became of one fault. */
export interface FaultRow {
  readonly fault: string;
  readonly node: string;
  readonly heldSeconds: number;
  /** From the fault until requests are answered promptly again. */
  readonly recoverySeconds: number;
  /** From the end of the fault until traffic was spread evenly again; undefined where it never was. */
  readonly evenAfterSeconds: number | undefined;
  readonly requests: number;
  readonly getFailed: number;
  readonly postFailed: number;
  readonly slowestMs: number;
}

/** One fault to come. */
export interface PlannedFault {
  readonly fault: Fault;
  readonly node: string;
  readonly holdMs: number;
}

/** Which faults, in which order: the nodes take turns, and every kind meets each of them once a round. */
export function planFaults(
  { nodes, network }: ChaosStack,
  quick: boolean,
  random: () => number,
): PlannedFault[] {
  const holdMs = ({ lasts }: Fault) => {
    if (!lasts) return 0;
    return quick ? HOLD_MIN_MS : HOLD_MIN_MS + Math.floor(random() * (HOLD_MAX_MS - HOLD_MIN_MS));
  };
  const round = () => {
    const queues = POOL.map(({ id }) =>
      shuffled(faultsOf(nodes.get(id)!, network), random).map((fault) => ({
        fault,
        node: id,
        holdMs: holdMs(fault),
      })),
    );
    return queues[0]!.flatMap((one, index) => [one, queues[1]![index]!]);
  };
  if (!quick) return [...round(), ...round()];
  const [first, second] = POOL.map(({ id }) => faultsOf(nodes.get(id)!, network));
  return QUICK_FAULTS.map((name, index) => {
    const fault = (index % 2 === 0 ? first : second)!.find((one) => one.name === name)!;
    return { fault, node: POOL[index % 2]!.id, holdMs: holdMs(fault) };
  });
}

/** What a quick run begins with comes first. */
const QUICK_FAULTS = ["kill -9", "SIGSTOP", "drain", "link cut", "renumbered", "restart"];

/** Injects one fault, heals it, and waits until traffic is spread evenly again. */
export async function runFault({ fault, node, holdMs }: PlannedFault, watch: Watch): Promise<FaultRow> {
  await watch.collect();
  const before = { attempts: watch.attempts.length, arrivals: watch.arrivals.length };
  const injected = Date.now();
  await fault.inject();
  await sleep(holdMs);
  await fault.heal();
  const healed = Date.now();
  const evenAfterSeconds = await watch.untilEven(
    POOL.map(({ id }) => id),
    SPREAD_DEADLINE_MS,
  );
  const over = Date.now();
  await watch.collect();
  const attempts = watch.attempts.slice(before.attempts);
  const verdict = judge(attempts, watch.arrivals.slice(before.arrivals), PUBLISHED);
  return {
    fault: fault.name,
    node,
    heldSeconds: (healed - injected) / 1_000,
    recoverySeconds: recoverySeconds(attempts, injected, over, { promptMs: PROMPT_MS, calmMs: CALM_MS }),
    evenAfterSeconds,
    requests: attempts.length,
    getFailed: verdict.getFailed.length,
    postFailed: verdict.postFailed.length,
    slowestMs: attempts.reduce((slowest, { ms, delayMs }) => Math.max(slowest, ms - delayMs), 0),
  };
}
