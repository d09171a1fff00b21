import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../test/support/stack.ts";
import { startOrigin } from "./native.ts";
import { CORES } from "./processes.ts";
import { type Streamed, streamDriver } from "./streams/driver.ts";
import { type Mode, StreamsRelay } from "./streams/relay.ts";
import type { Figure, Section, Workload } from "./workload.ts";

const SIZES = {
  whole: { modes: ["v1", "raw"], counts: [10, 100, 1_000, 2_500], echoes: 4_000 },
  quick: { modes: ["v1"], counts: [1_000], echoes: 1_000 },
} as const;

/** What was begun with the streams is over by then. */
const SETTLE_MS = 1_500;

export const growthStreams: Workload = {
  name: "growth-streams",
  title: "Growth: concurrent streams",
  async run(options) {
    const { quick, dir } = options;
    const log = (line: string) => options.log(line);
    const { modes, counts, echoes } = quick ? SIZES.quick : SIZES.whole;
    const host = "127.0.0.1";
    const driver = await streamDriver();
    const origin = await startOrigin({ host, http: await freePort(), tcp: await freePort() });
    const target = `tcp://${host}:${origin.tcp}`;
    const sections: Section[] = [];
    try {
      for (const mode of modes) {
        const figures: Figure[] = [];
        for (const count of counts) {
          // A relay of its own for each: what others left behind would be in its memory.
          const relay = await StreamsRelay.start(join(dir, `${mode}-${count}`), [target]);
          try {
            log(`${mode}: ${count} streams`);
            figures.push(...(await grown(relay, { driver, dir, target, mode, count, echoes })));
          } finally {
            await relay.stop();
          }
        }
        sections.push({
          title: mode === "v1" ? "Under holdfast.stream.v1" : "As raw bytes",
          note: "All streams are open at once and stand still, but for one by which a byte goes there and back, again and again.",
          figures,
        });
      }
      return { sections };
    } finally {
      await origin.process.stop();
    }
  },
};

interface Growth {
  readonly driver: string;
  readonly dir: string;
  readonly target: string;
  readonly mode: Mode;
  readonly count: number;
  readonly echoes: number;
}

async function grown(relay: StreamsRelay, growth: Growth): Promise<Figure[]> {
  const { driver, dir, target, mode, count, echoes } = growth;
  const file = join(dir, "requests");
  // One before: what the first stream brings about stays.
  await echoed(relay, { ...growth, count: 1, echoes: 10 }, file);
  await relay.requests(file, count, target, mode, "edge");
  await sleep(SETTLE_MS);
  const before = relay.memory();
  const held = await hold(driver, [...words(relay, mode), file, "idle", String(echoes)]);
  await sleep(SETTLE_MS);
  const after = relay.memory();
  const { p50, p99 } = await goOn(held);
  const each = (part: "edge" | "node") => [((after[part] - before[part]) * 1_024) / count];
  const of = count.toLocaleString("en");
  return [
    { what: `${of}: node`, unit: "kB each", samples: each("node") },
    { what: `${of}: workerd`, unit: "kB each", samples: each("edge") },
    { what: `${of}: an echo by one of them, p50`, unit: "µs", samples: [p50] },
    { what: `${of}: an echo by one of them, p99`, unit: "µs", samples: [p99] },
  ];
}

async function echoed(relay: StreamsRelay, growth: Growth, file: string): Promise<Streamed> {
  const { driver, target, mode, count, echoes } = growth;
  await relay.requests(file, count, target, mode, "edge");
  return goOn(await hold(driver, [...words(relay, mode), file, "idle", String(echoes)]));
}

function words({ edge }: StreamsRelay, mode: Mode): string[] {
  return [edge.host, String(edge.port), "plain", mode];
}

/** Opens streams and lets them stand. */
async function hold(driver: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn("taskset", ["-c", String(CORES.driver), driver, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the driver ended with ${code}`);
  });
  await Promise.race([once(child.stdout, "data"), ended]);
  ended.catch(() => {});
  return child;
}

/** Lets the echoes begin. */
async function goOn(child: ChildProcess): Promise<Streamed> {
  let said = "";
  child.stdout!.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stdin!.end("\n");
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`the driver ended with ${code}`);
  return JSON.parse(said) as Streamed;
}
