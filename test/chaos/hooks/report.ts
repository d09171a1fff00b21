import type { DeliveryCounts } from "../../../protocol/deliveries.ts";
import { type Kill, miscounted, type Sent, type Verdict } from "./ledger.ts";
import { KILLS, QUICK_KILLS_MIN, UNDER_WAY_PER_ROUTE } from "./limits.ts";

/** All that a run has measured. */
export interface Run {
  readonly quick: boolean;
  readonly seed: number;
  readonly seconds: number;
  readonly rounds: readonly Round[];
  /** Undefined where something was still pending when the time was over. */
  readonly drainSeconds: number | undefined;
  /** By route, in the end; and what did not add up meanwhile. */
  readonly counts: Readonly<Record<string, DeliveryCounts>>;
  readonly miscounts: readonly string[];
  /** What is dead in the end, with its reason. */
  readonly dead: readonly string[];
  readonly answers: Readonly<Record<string, number>>;
  readonly verdict: Verdict;
}

/** A while under load, which a kill may have ended. */
export interface Round {
  readonly loadMs: number;
  readonly kill?: Kill;
}

/** What a run broke of its promises, each in a line; empty where all were kept. */
export function breaches({ verdict, quick, drainSeconds, miscounts, counts, dead }: Run): string[] {
  const { kills, ...lists } = verdict;
  const most = UNDER_WAY_PER_ROUTE * Object.keys(counts).length;
  const told: [readonly string[], string][] = [
    [lists.lost, "accepted and lost"],
    [lists.doubled, "made again with no kill to explain it"],
    [lists.reordered, "out of their lane's order"],
    [lists.altered, "came with other bytes"],
    [lists.unsigned, "came without a good signature of the relay's"],
    [lists.unknown, "came from nobody"],
    [lists.unacknowledged, "never acknowledged, though the edge was back"],
    [miscounts, "counts don't add up"],
    [dead, "dead, though the receiver never failed so often"],
  ];
  const broken: [boolean, string][] = [
    [verdict.accepted === 0, "no load"],
    [kills.length < (quick ? QUICK_KILLS_MIN : KILLS), `only ${kills.length} kills`],
    [drainSeconds === undefined, `not drained in time: ${JSON.stringify(counts)}`],
  ];
  return [
    ...told.flatMap(([list, what]) => (list.length > 0 ? [`${list.length} ${what}`] : [])),
    ...broken.flatMap(([isBroken, what]) => (isBroken ? [what] : [])),
    ...kills.flatMap(({ duplicates, underWay, interrupted }, index) =>
      duplicates <= Math.min(underWay, interrupted) && interrupted <= most
        ? []
        : [
            `kill ${index + 1}: ${duplicates} duplicates, ${underWay} under way, ${interrupted} interrupted of at most ${most}`,
          ],
    ),
  ];
}

/** What a run has found, in lines. */
export function resultLines({ rounds, verdict, answers, counts, drainSeconds, seconds }: Run): string[] {
  let kills = 0;
  return [
    ...rounds.map(({ loadMs, kill }) => {
      const load = `load ${(loadMs / 1_000).toFixed(2)} s`;
      if (kill === undefined) return ` --  ${load}, no kill`;
      const { underWay, interrupted, duplicates } = verdict.kills[kills]!;
      kills++;
      return `${String(kills).padStart(3)}  ${load}, back after ${((kill.backAt - kill.at) / 1_000).toFixed(2)} s  under way ${underWay}  interrupted ${interrupted}  duplicates ${duplicates}`;
    }),
    `answers: ${JSON.stringify(answers)}`,
    ...Object.entries(counts).map(([route, count]) => `counts of ${route}: ${JSON.stringify(count)}`),
    `drained ${drainSeconds === undefined ? "never" : `after ${drainSeconds.toFixed(1)} s`}, ${seconds.toFixed(0)} s in all`,
  ];
}

/** The line that a run ends with. */
export function summary({ verdict }: Run): string {
  const { kills, accepted, lost, reordered } = verdict;
  const most = Math.max(0, ...kills.map(({ duplicates }) => duplicates));
  return [
    "hooks:",
    `kills=${kills.length}`,
    `accepted=${accepted}`,
    `lost=${lost.length}`,
    `duplicates_max=${most}`,
    `reordered=${reordered.length}`,
  ].join(" ");
}

/** What does not add up in a route's counts, with its name. */
export function routeMiscounts(route: string, counts: DeliveryCounts, sent?: readonly Sent[]): string[] {
  const own = sent?.filter((event) => event.route === route);
  const events = own && {
    sent: own.length,
    acknowledged: own.filter(({ acknowledged }) => acknowledged !== null).length,
  };
  return miscounted(counts, events).map((what) => `${route}: ${what}`);
}
