import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkAddresses, DRIFT_PREFIX } from "./address-phase.ts";
import { type FaultRow, planFaults, runFault } from "./fault-phase.ts";
import { POOL, PUBLISHED } from "./hosts.ts";
import { judge } from "./ledger.ts";
import { QUICK_FAULTS_SECONDS, RATE_PER_SECOND, SPREAD_DEADLINE_MS } from "./limits.ts";
import { Network } from "./network.ts";
import { seeded } from "./random.ts";
import { replayTokens } from "./replay-phase.ts";
import { breaches, faultLine, resultLines, type Run, summary } from "./report.ts";
import { rollingRestart } from "./rolling-phase.ts";
import { type ChaosStack, startChaosStack } from "./stack.ts";
import { Watch } from "./watch.ts";

/** How the suite is run. */
export interface ConductOptions {
  /** The folder that was prepared outside. */
  readonly dir: string;
  readonly quick: boolean;
  readonly seed: number;
  /** Where the figures go, as JSON. */
  readonly report: string;
}

/** Runs the whole suite inside the namespaces; returns the exit code, 0 where the contract held. */
export async function conduct(options: ConductOptions): Promise<number> {
  let stack: ChaosStack | undefined;
  try {
    const network = await Network.create(options.dir);
    stack = await startChaosStack(network, options.dir);
    const watch = new Watch(stack.load, stack.target);
    const run = await measure(stack, watch, options).finally(() => keep(watch, options));
    writeFileSync(options.report, `${JSON.stringify(run, null, 2)}\n`);
    return tell(run);
  } catch (error) {
    console.error(`chaos: ${(error as Error).stack}`);
    return 1;
  } finally {
    await stack?.stop();
  }
}

/** Every request and every arrival, beside the report, for those who look for a cause. */
function keep({ attempts, arrivals }: Watch, { report, dir }: ConductOptions): void {
  const lines = (list: readonly unknown[]) => `${list.map((one) => JSON.stringify(one)).join("\n")}\n`;
  writeFileSync(`${report}.attempts.jsonl`, lines(attempts));
  writeFileSync(`${report}.arrivals.jsonl`, lines(arrivals));
  for (const name of ["edge", "node-1", "node-2", "node-3"]) {
    copyFileSync(join(dir, `${name}.log`), `${report}.${name}.log`);
  }
}

async function measure(stack: ChaosStack, watch: Watch, { quick, seed }: ConductOptions): Promise<Run> {
  const started = Date.now();
  const random = seeded(seed);
  await stack.load.ask({ what: "begin", rate: RATE_PER_SECOND, seed });
  const nodes = POOL.map(({ id }) => id);
  if ((await watch.untilEven(nodes, SPREAD_DEADLINE_MS)) === undefined) {
    throw new Error("traffic does not spread over both nodes before any fault");
  }
  const plan = planFaults(stack, quick, random);
  console.log(
    `chaos: ${quick ? "up to " : ""}${plan.length} faults, ${RATE_PER_SECOND} requests/s, seed ${seed}`,
  );
  const addresses = checkAddresses(stack, watch);
  // Heard at the end; it must not end the process before.
  addresses.catch(() => {});
  const faults: FaultRow[] = [];
  for (const planned of plan) {
    // A quick run has as many as fit.
    if (quick && process.uptime() > QUICK_FAULTS_SECONDS) break;
    const row = await runFault(planned, watch);
    faults.push(row);
    console.log(faultLine(faults.length, row));
  }
  const rolling = quick ? undefined : await rollingRestart(stack, watch);
  const replays = await replayTokens(stack, watch, quick);
  const addressed = await addresses;
  await stack.load.ask({ what: "end" });
  await watch.collect();
  const arrivals = watch.arrivals.filter(({ id }) => !id.startsWith(DRIFT_PREFIX));
  return {
    quick,
    seed,
    seconds: (Date.now() - started) / 1_000,
    faults,
    ...(rolling !== undefined && { rolling }),
    replays,
    addresses: addressed,
    verdict: judge(watch.attempts, arrivals, PUBLISHED),
  };
}

/** How many of each kind are told; the report has them all. */
const EXAMPLES = 5;

function tell(run: Run): number {
  for (const line of resultLines(run)) console.log(line);
  const { getFailed, postDoubled, untruthful, wrongAddress } = run.verdict;
  for (const [what, list] of Object.entries({ getFailed, postDoubled, untruthful, wrongAddress })) {
    for (const one of list.slice(0, EXAMPLES)) console.log(`  ${what}: ${one}`);
  }
  for (const one of run.rolling?.failed.slice(0, EXAMPLES) ?? []) console.log(`  rolling restart: ${one}`);
  const broken = breaches(run);
  for (const breach of broken) console.log(`broken: ${breach}`);
  console.log(summary(run));
  return broken.length === 0 ? 0 : 1;
}
