import { setTimeout as sleep } from "node:timers/promises";
import {
  awake,
  type Bench,
  CONNECT,
  cpuOf,
  DANTE,
  DIRECT,
  HAPROXY,
  residentKb,
  type Side,
  SOCKS,
  SPLICE,
  SQUID,
  startBench,
  systemOf,
  TWO,
} from "./connect/sides.ts";
import type { Driver } from "./connect/tunnels.ts";
import { CORES } from "./processes.ts";
import { quietly } from "./quiet.ts";
import { median } from "./stats.ts";
import { alternate, type Figure, type Findings, type Workload, type WorkloadOptions } from "./workload.ts";

/** Starts everything, and ends it whatever becomes of the measuring. */
function onBench(
  measure: (bench: Bench, options: WorkloadOptions, log: (line: string) => void) => Promise<Findings>,
): Workload["run"] {
  return async (options) => {
    const bench = await startBench(options.dir);
    try {
      options.log("all sides run");
      return { ...bench.found, ...(await measure(bench, options, (line) => options.log(line))) };
    } finally {
      await bench.stop();
    }
  };
}

/** A share of it is taken as it comes: its figures go nowhere. */
function settled<Sample>(log: (line: string) => void, quick: boolean, sample: () => Promise<Sample>) {
  return quick ? sample() : quietly(log, sample);
}

/** One sample of set-ups. */
interface RateSample {
  readonly perSecond: number;
  readonly cpuUs: number;
  /** What of that the system computed. */
  readonly systemUs: number;
  readonly p50Us: number;
  readonly driverShare: number;
}

const AT_ONCE = [1, 32] as const;
const UNCACHED = "Holdfast, CONNECT, grant asked for";
/** More than a sample opens. */
const TOKENS = { quick: 500, whole: 4_000 };

export const connectRate: Workload = {
  name: "connect-rate",
  title: "Tunnels: set up per second",
  run: onBench(async ({ driver, sides, uncached, found }, { quick }, log) => {
    const rounds = quick ? 1 : 7;
    const seconds = quick ? 0.4 : 2;
    const figures: Figure[][] = [];
    const rates: Record<string, number> = {};
    /** Peers whose set-ups failed, and how: what is left out for that is named. */
    const failed = new Map<string, string>();
    for (const atOnce of AT_ONCE) {
      const measures: Record<string, () => Promise<RateSample | undefined>> = {};
      for (const side of sides.values()) {
        const { name } = side;
        const by = name === TWO ? driver.on([CORES.measured, CORES.driver]) : driver;
        const sample = () =>
          settled(log, quick, () => awake(driver, side, () => rateSample(by, side, atOnce, seconds)));
        measures[name] = async () => {
          if (failed.has(name)) return undefined;
          try {
            return await sample();
          } catch (error) {
            if (!(error instanceof SetupsFailed) || NEEDED.has(name)) throw error;
            failed.set(name, error.message);
            log(error.message);
            return undefined;
          }
        };
      }
      const ours = sides.get(CONNECT)!;
      measures[UNCACHED] = async () => {
        const place = await uncached(quick ? TOKENS.quick : TOKENS.whole);
        const fresh = { ...ours, place };
        return awake(driver, ours, () => rateSample(driver, fresh, atOnce, Math.min(seconds, 0.6)));
      };
      const samples = whole(await alternate(rounds, measures));
      log(`${atOnce} at once`);
      const per = (which: keyof RateSample, what: string, unit: string): Figure[] =>
        Object.entries(samples).flatMap(([name, all]) =>
          (which === "cpuUs" || which === "systemUs") && name === DIRECT
            ? []
            : [{ what: `${name}${what}`, unit, samples: all.map((sample) => sample[which]) }],
        );
      figures.push([
        ...per("perSecond", "", "/s"),
        ...per("cpuUs", ": CPU", "µs each"),
        ...per("systemUs", ": of it in the system", "µs each"),
        ...per("p50Us", ": p50", "µs"),
        ...per("driverShare", ": driver", "% of its core"),
      ]);
      if (atOnce === 32) {
        for (const [name, all] of Object.entries(samples)) {
          rates[name] = median(all.map(({ perSecond }) => perSecond));
        }
      }
    }
    return {
      sections: AT_ONCE.map((atOnce, index) => ({
        title: `${atOnce} at once`,
        note: RATE_NOTE,
        figures: figures[index]!,
        isDrawn: true,
      })),
      ratios: {
        "connect-rate-32": rates[CONNECT]! / rates[SQUID]!,
        "connect-rate-32-two": rates[TWO]! / rates[SQUID]!,
      },
      missing: [...(found.missing ?? []), ...[...failed].map(([name, why]) => ({ name, why }))],
    };
  }),
};

const RATE_NOTE =
  "Each is: a TCP connection, the handshake with the proxy (for Holdfast with a token as password, and HAProxy has none), a byte to the target " +
  "and back, and the end. The target, the driver and Holdfast's edge share one core, and what is measured has the other one; two processes of " +
  "Holdfast's, on one port and one address, share both cores with the driver. Where the grant is asked for, each set-up has a token that the node has not seen.";

/** Those that the goals are of, or that are Holdfast's own: where one of their set-ups fails, nothing is measured. */
const NEEDED: ReadonlySet<string> = new Set([DIRECT, SQUID, CONNECT, SOCKS, TWO]);

/** Set-ups that failed in a sample. */
class SetupsFailed extends Error {}

/** Without the sides of which a sample is missing. */
function whole<Sample>(
  samples: Readonly<Record<string, readonly (Sample | undefined)[]>>,
): Record<string, readonly Sample[]> {
  const isWhole = (all: readonly (Sample | undefined)[]): all is readonly Sample[] =>
    !all.includes(undefined);
  return Object.fromEntries(
    Object.entries(samples).flatMap(([name, all]) => (isWhole(all) ? [[name, all]] : [])),
  );
}

async function rateSample(driver: Driver, side: Side, atOnce: number, seconds: number): Promise<RateSample> {
  const [cpuBefore, systemBefore] = [cpuOf(side), systemOf(side)];
  const told = await driver.rate(side.place, atOnce, seconds);
  const [cpu, system] = [cpuOf(side) - cpuBefore, systemOf(side) - systemBefore];
  if (told.failed > 0) {
    const tried = told.failed + told.setups;
    throw new SetupsFailed(`${side.name}: ${told.failed} of ${tried} set-ups failed; the first ${told.why}`);
  }
  return {
    perSecond: told.setups / told.seconds,
    cpuUs: (cpu * 1_000) / told.setups,
    systemUs: (system * 1_000) / told.setups,
    p50Us: told.p50,
    driverShare: (told.cpuSeconds / told.seconds) * 100,
  };
}

/** One sample of bytes. */
interface BulkSample {
  readonly gbPerSecond: number;
  readonly cpuPerGb: number;
  readonly driverShare: number;
}

const BULK = [
  { way: "down", tunnels: 1 },
  { way: "down", tunnels: 16 },
  { way: "up", tunnels: 1 },
  { way: "up", tunnels: 16 },
] as const;
const GB = 1_000_000_000;
const CHECKED_BYTES = 50_000_000;
/** Those that are HTTP or SOCKS proxies as they come. */
const AS_THEY_COME = [HAPROXY, SQUID, "tinyproxy", "proxy-chain", DANTE];

export const connectBulk: Workload = {
  name: "connect-bulk",
  title: "Tunnels: bytes",
  run: onBench(async ({ driver, sides }, { quick }, log) => {
    const rounds = quick ? 1 : 7;
    const bytes = quick ? 0.12 * GB : GB;
    const measured = [...sides.values()].filter(({ name }) => name !== TWO);
    for (const side of measured) {
      // A share of it is of the relay alone.
      if (quick && ![CONNECT, SOCKS].includes(side.name)) continue;
      for (const { way, tunnels } of BULK) {
        await awake(driver, side, () =>
          driver.move(side.place, way, tunnels, CHECKED_BYTES / tunnels, { check: true }),
        );
      }
    }
    log("every byte compared");
    const all: Record<string, Record<string, BulkSample[]>> = {};
    for (const { way, tunnels } of BULK) {
      const measures: Record<string, () => Promise<BulkSample>> = {};
      for (const side of measured) {
        measures[side.name] = () =>
          settled(log, quick, () => awake(driver, side, () => bulkSample(driver, side, way, tunnels, bytes)));
      }
      all[`${way}-${tunnels}`] = await alternate(rounds, measures);
      log(`${way}, ${tunnels}`);
    }
    const speed = (kind: string, name: string) =>
      median((all[kind]![name] ?? []).map(({ gbPerSecond }) => gbPerSecond));
    const cpu = (name: string) =>
      median(Object.values(all).flatMap((samples) => samples[name]!.map(({ cpuPerGb }) => cpuPerGb)));
    const best = (kind: string) =>
      Math.max(...AS_THEY_COME.filter((name) => sides.has(name)).map((name) => speed(kind, name)));
    const ratios = Object.fromEntries(
      Object.keys(all).flatMap((kind) => [
        [`bulk-${kind}`, speed(kind, CONNECT) / best(kind)],
        [`bulk-splice-${kind}`, speed(kind, CONNECT) / speed(kind, SPLICE)],
      ]),
    ) as Findings["ratios"];
    return {
      sections: BULK.map(({ way, tunnels }) => ({
        title: `${way}, ${tunnels} at once`,
        note: BULK_NOTE,
        figures: Object.entries(all[`${way}-${tunnels}`]!).flatMap(([name, each]) => bulkFigures(name, each)),
        isDrawn: true,
      })),
      ratios: { ...ratios, "bulk-cpu": cpu(CONNECT) / cpu(HAPROXY) },
    };
  }),
};

const BULK_NOTE =
  "Bytes through tunnels that stand, counted at the end that takes them; in a pass of its own every byte is compared. CPU is that of the proxy's own processes.";

function bulkFigures(name: string, samples: readonly BulkSample[]): Figure[] {
  const figure = (what: string, unit: string, which: keyof BulkSample): Figure => ({
    what: `${name}${what}`,
    unit,
    samples: samples.map((sample) => sample[which]),
  });
  const speed = figure("", "GB/s", "gbPerSecond");
  const driver = figure(": driver", "% of its core", "driverShare");
  return name === DIRECT ? [speed, driver] : [speed, figure(": CPU", "s/GB", "cpuPerGb"), driver];
}

async function bulkSample(
  driver: Driver,
  side: Side,
  way: "down" | "up",
  tunnels: number,
  bytes: number,
): Promise<BulkSample> {
  let before = 0;
  const begun = () => (before = cpuOf(side));
  const told = await driver.move(side.place, way, tunnels, bytes / tunnels, { begun });
  const gb = told.bytes / GB;
  return {
    gbPerSecond: gb / told.seconds,
    cpuPerGb: (cpuOf(side) - before) / 1_000 / gb,
    driverShare: (told.cpuSeconds / told.seconds) * 100,
  };
}

const HELD = { quick: [5_000], whole: [1_000, 5_000] } as const;
const SETTLE_MS = { quick: 1_000, whole: 5_000 };
const PASSES = 2;

export const connectMemory: Workload = {
  name: "connect-memory",
  title: "Tunnels: memory of idle ones",
  run: onBench(async ({ driver, sides }, { quick }, log) => {
    // A process that has had many keeps what it got: the fewer come first.
    const left = new Set<string>([DIRECT, DANTE, SOCKS, TWO]);
    const measured = [...sides.values()].filter(({ name }) => (quick ? name === CONNECT : !left.has(name)));
    const settle = () => sleep(quick ? SETTLE_MS.quick : SETTLE_MS.whole);
    const figures: Figure[] = [];
    let ours = Number.NaN;
    for (const side of measured) {
      await awake(driver, side, async () => {
        await driver.rate(side.place, 32, 1);
        await settle();
        const before = residentKb(side);
        for (const count of quick ? HELD.quick : HELD.whole) {
          const samples: number[] = [];
          for (let pass = 0; pass < PASSES; pass++) {
            const close = await driver.hold(side.place, count);
            await settle();
            samples.push((residentKb(side) - before) / count);
            await close();
            await settle();
          }
          figures.push({ what: `${side.name}: ${count}`, unit: "kB each", samples });
          if (side.name === CONNECT && count === 5_000) ours = Math.max(...samples);
        }
      });
      log(side.name);
    }
    return {
      sections: [{ title: "Idle tunnels", note: MEMORY_NOTE, figures, isDrawn: true }],
      ratios: { "tunnel-memory": ours },
    };
  }),
};

const MEMORY_NOTE =
  "What the processes hold of memory with so many open tunnels that say nothing, above what they held after a second of set-ups, " +
  "shared out among the tunnels: twice over, since the first time counts how the allocators grow. The goal counts the larger one.";
