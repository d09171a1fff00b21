import { once } from "node:events";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { adminCall } from "../../../client/admin.ts";
import type { Stack } from "../../../dev/stack.ts";
import type { DeliveryCounts, DeliveryRow } from "../../../protocol/deliveries.ts";
import { seeded } from "../random.ts";
import { judge, type Kill, questionable } from "./ledger.ts";
import {
  CALM_EVERY,
  CALM_MS,
  DOWN_MAX_MS,
  DRAIN_MS,
  FIRST_MS,
  KILLS,
  PURGES,
  QUICK_CALM_MS,
  QUICK_KILLS,
  QUICK_KILLS_MIN,
  QUICK_ROUND_MAX_MS,
  QUICK_ROUNDS_SECONDS,
  ROUND_MAX_MS,
  ROUND_MIN_MS,
  SUDDEN_MAX_MS,
  SUDDEN_MIN_MS,
  SUDDEN_ONE_IN,
} from "./limits.ts";
import type { Receiver } from "./receiver.ts";
import { breaches, resultLines, type Round, routeMiscounts, type Run, summary } from "./report.ts";
import { Senders } from "./senders.ts";
import {
  countsOf,
  deliveriesIn,
  detailsOf,
  type HooksStack,
  ROUTES,
  startHooksStack,
  untilDrained,
} from "./stack.ts";

/** How the suite is run. */
export interface ConductOptions {
  /** A folder of its own. */
  readonly dir: string;
  readonly quick: boolean;
  readonly seed: number;
  /** Where the figures go, as JSON. */
  readonly report: string;
}

/** Runs the whole suite; returns the exit code, 0 where every promise was kept. */
export async function conduct(options: ConductOptions): Promise<number> {
  const random = seeded(options.seed);
  let hooks: HooksStack | undefined;
  try {
    hooks = await startHooksStack(options.dir, seeded(options.seed + 1));
    const run = await measure(hooks, options, random);
    for (const line of resultLines(run)) console.log(line);
    const broken = tellBroken(run);
    console.log(summary(run));
    return broken ? 1 : 0;
  } catch (error) {
    console.error(`chaos:hooks: ${(error as Error).stack}`);
    return 1;
  } finally {
    if (hooks !== undefined) copyFileSync(hooks.stack.logs.edge, logBeside(options));
    await hooks?.stop();
  }
}

function logBeside({ report }: ConductOptions): string {
  mkdirSync(dirname(report), { recursive: true });
  return `${report}.edge.log`;
}

async function measure(hooks: HooksStack, options: ConductOptions, random: () => number): Promise<Run> {
  const { stack, receiver, secret } = hooks;
  const { quick, seed } = options;
  const started = Date.now();
  const senders = new Senders({ edge: stack.edge, routes: ROUTES, secret, seed });
  console.log(`chaos:hooks: ${quick ? "up to " : ""}${quick ? QUICK_KILLS : KILLS} kills, seed ${seed}`);
  senders.begin();
  const miscounts: string[] = [];
  const rounds: Round[] = [];
  for (let kills = 0; kills < (quick ? QUICK_KILLS : KILLS); kills++) {
    if (kills % CALM_EVERY === 0) rounds.push(await calm(quick ? QUICK_CALM_MS : CALM_MS));
    // A quick run has as many as fit, and a few.
    if (quick && kills >= QUICK_KILLS_MIN && process.uptime() > QUICK_ROUNDS_SECONDS) break;
    rounds.push(await killRound(hooks, random, quick ? QUICK_ROUND_MAX_MS : ROUND_MAX_MS));
    miscounts.push(...(await lookAtCounts(stack)));
  }
  await senders.end();
  receiver.isMoody = false;
  const drainSeconds = await untilDrained(stack, Object.values(ROUTES), DRAIN_MS);
  const kills = rounds.flatMap(({ kill }) => (kill === undefined ? [] : [kill]));
  const attempts = await attemptsOf(hooks, senders, kills);
  await purgeSome(stack);
  const counts: Record<string, DeliveryCounts> = {};
  for (const route of Object.values(ROUTES)) {
    counts[route] = await countsOf(stack, route);
    miscounts.push(...routeMiscounts(route, counts[route], senders.sent));
  }
  const { sent, answers } = senders;
  const { arrivals } = receiver;
  const held = await heldIn(stack, sent.length);
  const records = { sent, arrivals, kills, attempts, held: new Set(held.keys()) };
  keep(options, { sent, arrivals, kills, attempts: [...attempts] });
  const dead = [...held].flatMap(([id, row]) => (row.state === "dead" ? [`${id}: ${row.reason}`] : []));
  const seconds = (Date.now() - started) / 1_000;
  const verdict = judge(records);
  return { quick, seed, seconds, rounds, drainSeconds, counts, miscounts, dead, answers, verdict };
}

async function calm(ms: number): Promise<Round> {
  await sleep(ms);
  return { loadMs: ms };
}

/** Load, and at a moment that nobody knows the edge ends and begins again over what it had stored. */
async function killRound(
  { stack, receiver }: HooksStack,
  random: () => number,
  roundMaxMs: number,
): Promise<Round> {
  const isSudden = random() < 1 / SUDDEN_ONE_IN;
  const [least, most] = isSudden ? [SUDDEN_MIN_MS, SUDDEN_MAX_MS] : [ROUND_MIN_MS, roundMaxMs];
  const from = Date.now();
  if (!isSudden) await firstArrival(receiver);
  await sleep(least + random() * (most - least));
  const edge = stack.process("edge");
  const gone = once(edge, "exit");
  edge.kill("SIGKILL");
  const at = Date.now();
  const loadMs = at - from;
  await gone;
  await sleep(random() * DOWN_MAX_MS);
  const kill: Kill = { at, backAt: Date.now() };
  await stack.startEdge();
  return { loadMs, kill };
}

/** However slowly a machine starts an edge, deliveries are under way. */
async function firstArrival({ arrivals }: Receiver): Promise<void> {
  const [before, until] = [arrivals.length, Date.now() + FIRST_MS];
  while (arrivals.length === before && Date.now() < until) await sleep(FIRST_LOOK_MS);
}

const FIRST_LOOK_MS = 20;

/** Under load they add up as well: each store counts in the transaction that changes what is counted. */
async function lookAtCounts(stack: Stack): Promise<string[]> {
  const found = await Promise.all(
    Object.values(ROUTES).map(async (route) => routeMiscounts(route, await countsOf(stack, route))),
  );
  return found.flat();
}

/** Removes a few for good, so that something is counted as purged. */
async function purgeSome(stack: Stack): Promise<void> {
  for (const { id, owner } of await deliveriesIn(stack, ROUTES.free, "delivered", PURGES)) {
    await adminCall(stack.operator, "DELETE", `/admin/deliveries/${owner}/${id}`);
  }
}

async function attemptsOf({ stack, receiver }: HooksStack, { sent }: Senders, kills: readonly Kill[]) {
  const wanted = questionable(receiver.arrivals, kills);
  const asked = sent.flatMap(({ id, route, delivery }) =>
    delivery !== null && wanted.has(id) ? [{ id, route, delivery }] : [],
  );
  const details = await detailsOf(stack, asked);
  return new Map([...details].map(([id, { attempts }]) => [id, attempts]));
}

/** What is pending or dead, by the events' ids. */
async function heldIn(stack: Stack, most: number): Promise<Map<string, DeliveryRow>> {
  const held = new Map<string, DeliveryRow>();
  for (const route of Object.values(ROUTES)) {
    for (const state of ["pending", "dead"]) {
      for (const row of await deliveriesIn(stack, route, state, most)) held.set(row.dedupe!, row);
    }
  }
  return held;
}

/** Everything that was noted, beside the report, for those who look for a cause. */
function keep({ report }: ConductOptions, records: object): void {
  mkdirSync(dirname(report), { recursive: true });
  writeFileSync(`${report}.records.json`, JSON.stringify(records));
}

/** How many of each kind are told; the records have them all. */
const EXAMPLES = 5;

function tellBroken(run: Run): boolean {
  const { kills: _, accepted: __, ...lists } = run.verdict;
  for (const [what, list] of Object.entries({ ...lists, miscounts: run.miscounts, dead: run.dead })) {
    for (const one of list.slice(0, EXAMPLES)) console.log(`  ${what}: ${one}`);
  }
  const broken = breaches(run);
  for (const breach of broken) console.log(`broken: ${breach}`);
  return broken.length > 0;
}
