import type { AddressResult } from "./address-phase.ts";
import type { FaultRow } from "./fault-phase.ts";
import { HOSTS } from "./hosts.ts";
import { percentile, type Verdict } from "./ledger.ts";
import { FAULTS_MIN, QUICK_FAULTS_MIN, RECOVERY_MAX_SECONDS } from "./limits.ts";
import type { ReplayRow } from "./replay-phase.ts";
import type { RollingResult } from "./rolling-phase.ts";

/** All that a run has measured. */
export interface Run {
  readonly quick: boolean;
  readonly seed: number;
  readonly seconds: number;
  readonly faults: readonly FaultRow[];
  /** Left out of a quick run, which drains one node. */
  readonly rolling?: RollingResult;
  readonly replays: readonly ReplayRow[];
  readonly addresses: AddressResult;
  /** Over the whole run. */
  readonly verdict: Verdict;
}

/** What a run broke of the contract, each in a line; empty where it held. */
export function breaches(run: Run): string[] {
  const { verdict, faults, rolling, replays, addresses } = run;
  const late = faults.filter((row) => row.recoverySeconds > RECOVERY_MAX_SECONDS);
  const uneven = faults.filter((row) => row.evenAfterSeconds === undefined);
  const { startedDrifted, drifted } = addresses;
  const broken: [boolean, string][] = [
    [verdict.getFailed.length > 0, `${verdict.getFailed.length} GETs failed`],
    [verdict.postDoubled.length > 0, `${verdict.postDoubled.length} POSTs came to the target twice`],
    [verdict.untruthful.length > 0, `${verdict.untruthful.length} POSTs tell what is not so of the target`],
    [verdict.wrongAddress.length > 0, `${verdict.wrongAddress.length} requests left from a wrong address`],
    [faults.length < (run.quick ? QUICK_FAULTS_MIN : FAULTS_MIN), `only ${faults.length} faults`],
    [verdict.requests === 0, "no load"],
    [(rolling?.failed.length ?? 0) > 0, `${rolling?.failed.length} requests failed in the rolling restart`],
    [rolling?.even === false, "traffic did not spread evenly again in the rolling restart"],
    [addresses.behindNat !== HOSTS.nat, `behind the NAT: ${addresses.behindNat}, not ${HOSTS.nat}`],
    [startedDrifted.arrived > 0, `${startedDrifted.arrived} requests left a node that started drifted`],
    [addresses.backAfterSeconds === undefined, "a node did not come back when its address was repaired"],
    [
      drifted.noticedAfterSeconds === undefined || drifted.leftAfter > 0,
      "a node whose address drifted did not take itself out of service",
    ],
  ];
  return [
    ...broken.flatMap(([isBroken, what]) => (isBroken ? [what] : [])),
    ...late.map(
      ({ fault, node, recoverySeconds }) =>
        `${fault} of ${node}: traffic returned after ${recoverySeconds.toFixed(1)} s`,
    ),
    ...uneven.map(({ fault, node }) => `${fault} of ${node}: traffic did not spread evenly again`),
    ...replays.flatMap((row) => replayBreach(row)),
  ];
}

function replayBreach({ state, node, tokens, answers, doubled }: ReplayRow): string[] {
  const refused = Object.entries(answers)
    .filter(([answer]) => answer === "token_replayed" || answer === "request_predates_node")
    .reduce((sum, [, count]) => sum + count, 0);
  return tokens > 0 && refused === tokens && doubled === 0
    ? []
    : [
        `replay, ${node} ${state}: ${refused} of ${tokens} tokens refused (${JSON.stringify(answers)}), ${doubled} doubled`,
      ];
}

/** The line that a run ends with. */
export function summary({ faults, verdict }: Run): string {
  const recovery = percentile(
    faults.map((row) => row.recoverySeconds),
    0.99,
  );
  return [
    "chaos:",
    `faults=${faults.length}`,
    `get_failed=${verdict.getFailed.length}`,
    `post_doubled=${verdict.postDoubled.length}`,
    `untruthful=${verdict.untruthful.length}`,
    `wrong_address=${verdict.wrongAddress.length}`,
    `recovery_p99_s=${recovery.toFixed(2)}`,
  ].join(" ");
}

/** One fault in one line, as it is printed while the run goes on. */
export function faultLine(index: number, row: FaultRow): string {
  const even = row.evenAfterSeconds === undefined ? "never" : `${row.evenAfterSeconds.toFixed(1)} s`;
  return [
    String(index).padStart(3),
    row.fault.padEnd(10),
    row.node,
    `held ${row.heldSeconds.toFixed(1)} s`,
    `recovery ${row.recoverySeconds.toFixed(2)} s`,
    `even after ${even}`,
    `requests ${row.requests}`,
    `failed GET ${row.getFailed} POST ${row.postFailed}`,
    `slowest ${row.slowestMs} ms`,
  ].join("  ");
}

/** What is told besides the faults. */
export function resultLines({ rolling, replays, addresses, verdict, seconds }: Run): string[] {
  const { startedDrifted, backAfterSeconds, drifted } = addresses;
  const time = (value: number | undefined) => (value === undefined ? "never" : `${value.toFixed(1)} s`);
  return [
    ...(rolling === undefined
      ? []
      : [
          `rolling restart: requests ${rolling.requests}, failed ${rolling.failed.length}, ${rolling.seconds.toFixed(1)} s`,
        ]),
    ...replays.map(
      ({ state, node, tokens, answers, doubled }) =>
        `replay, ${node} ${state}: tokens ${tokens}, answers ${JSON.stringify(answers)}, doubled ${doubled}`,
    ),
    `behind a NAT: the target saw ${addresses.behindNat}`,
    `started drifted: asked ${startedDrifted.asked}, came to the target ${startedDrifted.arrived}, back ${time(backAfterSeconds)} after the repair`,
    `drifted while serving: noticed after ${time(drifted.noticedAfterSeconds)}, left before ${drifted.leftBefore}, after ${drifted.leftAfter} of ${drifted.askedAfter}`,
    `all: requests ${verdict.requests}, failed POST ${JSON.stringify(verdict.postFailures)}, ${seconds.toFixed(0)} s`,
  ];
}
