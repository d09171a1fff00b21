import { quietly } from "./quiet.ts";
import { median } from "./stats.ts";
import { drive } from "./streams/driver.ts";
import { BULK, BULK_STREAMS, EXACT_BYTES, WARM_BYTES } from "./streams/limits.ts";
import { SIDE_NAMES, type SideName, SIDES, type Sides, startSides } from "./streams/sides.ts";
import { alternate, type Figure, type Section, type Workload } from "./workload.ts";

/** One measurement; CPU in seconds for each GB. */
interface Sample {
  readonly gbPerSecond: number;
  readonly edge: number;
  readonly node: number;
  readonly driver: number;
  /** What driver and target used of their core, in percent. */
  readonly load: number;
}

type Samples = Partial<Readonly<Record<SideName, readonly Sample[]>>>;

/** Those that the goal is told by. */
const COMPARED: readonly SideName[] = ["bridge", "edge v1"];

const DIRECTIONS = ["down", "up"] as const;
type Direction = (typeof DIRECTIONS)[number];

const NOTE =
  "workerd and what is behind it share one core, driver and target the other; the bridge and the node both have TLS. The driver is one program for all sides: it masks beforehand, and acknowledges where v1 asks for it. Before, each side has echoed bytes that differ, and each came back as it was sent.";

export const streamBulk: Workload = {
  name: "stream-bulk",
  title: "Streams: bulk bytes",
  async run(options) {
    const { quick, dir } = options;
    const log = (line: string) => options.log(line);
    const { rounds, bytes } = quick ? BULK.quick : BULK.whole;
    const sides = await startSides(dir);
    try {
      const names = quick ? COMPARED : SIDE_NAMES;
      await assertExact(sides, names, log);
      const sections: Section[] = [];
      const compared: number[] = [];
      for (const streams of BULK_STREAMS) {
        for (const direction of DIRECTIONS) {
          log(`${direction}, ${streams} at once`);
          const runs = Object.fromEntries(
            names.map((name) => [
              name,
              () => quietly(log, () => measure(sides, name, direction, streams, bytes)),
            ]),
          ) as Record<SideName, () => Promise<Sample>>;
          const samples: Samples = await alternate(rounds, runs);
          const rate = (name: SideName) =>
            median((samples[name] ?? []).map(({ gbPerSecond }) => gbPerSecond));
          compared.push(rate("edge v1") / rate("bridge"));
          const title = `${direction === "down" ? "Down" : "Up"}, ${streams} at once`;
          const rates = names.map((name) => figure(SIDES[name], "GB/s", samples[name] ?? [], "gbPerSecond"));
          sections.push({ title, note: NOTE, figures: rates, isDrawn: true });
          sections.push({ title: `${title}: CPU`, note: "", figures: costs(samples) });
        }
      }
      return { sections, ratios: { "stream-bulk": Math.min(...compared) }, peers: sides.peers };
    } finally {
      await sides.stop();
    }
  },
};

async function assertExact(
  { driver, file, of }: Sides,
  names: readonly SideName[],
  log: (line: string) => void,
): Promise<void> {
  const streams = 4;
  for (const name of names) {
    const side = of[name];
    await side.awake(async () => {
      await side.requests(file, streams);
      const { mode, place } = side;
      await drive(driver, place, { mode, file, direction: "echo", bytes: EXACT_BYTES / streams });
      for (const direction of DIRECTIONS) {
        await side.requests(file, 1);
        await drive(driver, place, { mode, file, direction, bytes: WARM_BYTES });
      }
    });
    log(`${name}: each byte comes back as it was sent`);
  }
}

async function measure(
  { driver, origin, file, of }: Sides,
  name: SideName,
  direction: Direction,
  streams: number,
  bytes: number,
): Promise<Sample> {
  const side = of[name];
  return side.awake(async () => {
    await side.requests(file, streams);
    const cpu = () => ({ ...side.cpu(), origin: origin.cpuMs });
    const before = cpu();
    const each = Math.floor(bytes / streams);
    const { mode, place } = side;
    const { seconds, cpuSeconds } = await drive(driver, place, { mode, file, direction, bytes: each });
    const after = cpu();
    const spent = (part: keyof typeof after) => (after[part] - before[part]) / 1_000;
    const gb = (each * streams) / 1e9;
    return {
      gbPerSecond: gb / seconds,
      edge: spent("edge") / gb,
      node: spent("node") / gb,
      driver: cpuSeconds / gb,
      load: (100 * (cpuSeconds + spent("origin"))) / seconds,
    };
  });
}

function figure(what: string, unit: string, samples: readonly Sample[], part: keyof Sample): Figure {
  return { what, unit, samples: samples.map((sample) => sample[part]) };
}

function costs(samples: Samples): Figure[] {
  const measured = SIDE_NAMES.filter((name) => samples[name] !== undefined);
  const each = (what: string, unit: string, part: keyof Sample, names = measured) =>
    names.map((name) => figure(`${SIDES[name]}: ${what}`, unit, samples[name] ?? [], part));
  const behind = measured.filter((name) => name.startsWith("edge") || name === "bridge");
  return [
    ...each("workerd", "CPU s/GB", "edge", behind),
    ...each("what is behind it", "CPU s/GB", "node"),
    ...each("driver", "CPU s/GB", "driver"),
    ...each("driver and target, of their core", "%", "load"),
  ];
}
