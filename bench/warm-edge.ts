import { join, resolve } from "node:path";
import { addClient } from "../test/support/operator-calls.ts";
import { freePort } from "../test/support/stack.ts";
import { startWorker } from "./bare-worker.ts";
import { workerModule } from "./made-once.ts";
import { compile } from "./native.ts";
import { startPassThrough } from "./peers/pass-through.ts";
import type { PeerPlace } from "./peers/peer.ts";
import { CORES, type Process } from "./processes.ts";
import { median } from "./stats.ts";
import { NO_LIMIT, startEdge, startNativeNode } from "./warm-edge/edge.ts";
import { type AppCall, TARGET, writeRequests } from "./warm-edge/requests.ts";
import { type Sample, sample, type Side } from "./warm-edge/sample.ts";
import { alternate, type Figure, type Section, type Workload } from "./workload.ts";

const GET: AppCall = { url: `${TARGET}/v1/accounts/8342/balance?currency=EUR`, method: "GET" };
const POST: AppCall = { url: `${TARGET}/v1/payments`, method: "POST", body: new Uint8Array(1_000).fill(120) };

const REFERENCE = resolve(import.meta.dirname, "workers/verify-and-sign.ts");

const SIDES = ["Hono pass-through", "verify and sign alone", "Holdfast"] as const;
type SideName = (typeof SIDES)[number];
type Samples = Readonly<Record<SideName, readonly Sample[]>>;

const HOW =
  `Requests that the client library has signed, each by itself, are sent to workerd on one core; the driver and, in place of a node, a program that gives a node's
answer of 1 kB to everything are on the other. *Hono pass-through* hands the same requests on as they come and looks at nothing. *Verify and sign alone* is what an edge
can't go below: it proves an Ed25519 signature by WebCrypto, signs HS256, and hands on. Who isn't measured stands still.`.replaceAll(
    "\n",
    " ",
  );

/** The edge by itself, before what answers as a node. */
export const warmEdge: Workload = {
  name: "warm-edge",
  title: "Warm requests: the edge",
  async run(options) {
    const { quick, dir } = options;
    const log = (line: string) => options.log(line);
    const driver = await compile("load");
    const running: Process[] = [];
    const started = <T extends { readonly process: Process }>(one: T): T => {
      running.push(one.process);
      return one;
    };
    const placeOf = async (name: string): Promise<PeerPlace> => ({
      dir: join(dir, name),
      host: "127.0.0.1",
      port: await freePort(),
      core: CORES.measured,
    });
    try {
      const nodes = [
        started(await startNativeNode(join(dir, "node-1"), "node-1")),
        started(await startNativeNode(join(dir, "node-2"), "node-2")),
      ];
      const to = `http://${nodes[0]!.host}:${nodes[0]!.http}`;
      const module = await workerModule();
      const edge = started(await startEdge({ dir: join(dir, "edge"), module, nodes }));
      const limits = { requestsPerSecond: NO_LIMIT, concurrent: NO_LIMIT };
      const client = await addClient(edge.operator, "bench", { allow: [TARGET], limits });
      const passThrough = started(await startPassThrough(await placeOf("pass-through"), to));
      const place = await placeOf("reference");
      const { x } = client.publicJwk as { readonly x: string };
      const reference = started(await startWorker(place, REFERENCE, { TO: to, KEY: x }));
      const sides: Record<SideName, Side> = {
        "Hono pass-through": { ...passThrough, processes: { edge: passThrough.process } },
        "verify and sign alone": { ...place, processes: { edge: reference.process } },
        Holdfast: { ...edge, processes: { edge: edge.process } },
      };

      const file = join(dir, "requests");
      /** No token is older than a round, since it lives 60 s. */
      const measure = async (call: AppCall, connections: number, count: number, rounds: number) => {
        const all: Record<SideName, Sample[]> = {
          "Hono pass-through": [],
          "verify and sign alone": [],
          Holdfast: [],
        };
        for (let round = 0; round < rounds; round++) {
          await writeRequests(file, [client.relayUrl], call, count);
          const take = (name: SideName) => () =>
            alone(sides[name], Object.values(sides), () =>
              sample(driver, sides[name], { file, connections, log, isRepeatable: true }),
            );
          const one = await alternate(1, {
            "Hono pass-through": take("Hono pass-through"),
            "verify and sign alone": take("verify and sign alone"),
            Holdfast: take("Holdfast"),
          });
          for (const name of SIDES) all[name].push(...one[name]);
        }
        const told = SIDES.map((name) => `${name} ${Math.round(cpuOf(all[name]))} µs`);
        log(`${call.method} at ${connections}: ${told.join(", ")}`);
        return all;
      };

      // What is compiled only after many calls is compiled then.
      await measure(GET, 32, 3_000, 1);
      const [count, rounds] = quick ? [1_500, 2] : [8_000, 7];
      const at32 = await measure(GET, 32, count, rounds);
      const at1 = await measure(GET, 1, count / 2, quick ? 1 : 5);
      const at256 = await measure(GET, 256, count, quick ? 1 : 5);
      const posts = await measure(POST, 32, count, quick ? 1 : 5);
      const sections: Section[] = [
        {
          title: "CPU of the edge for each GET, 32 at once",
          note: HOW,
          isDrawn: true,
          figures: cpuFigures(at32),
        },
        {
          title: "CPU of the edge for each POST of 1 kB, 32 at once",
          note: "The same with a body, which the edge holds, and sends in a way that tells afterwards whether the node can have seen it.",
          figures: cpuFigures(posts),
        },
        ...([at1, at32, at256] as const).map((samples, index) => ({
          title: `GETs, ${[1, 32, 256][index]} at once`,
          note: "Of the same runs, with the share of its core that the driver took.",
          figures: timeFigures(samples),
        })),
      ];
      return {
        sections,
        ratios: { "edge-cpu-32": cpuOf(at32.Holdfast) / cpuOf(at32["Hono pass-through"]) },
        peers: [passThrough],
      };
    } finally {
      for (const process of running) await process.stop();
    }
  },
};

function cpuOf(samples: readonly Sample[]): number {
  return median(samples.map(({ cpu }) => cpu["edge"]!));
}

function cpuFigures(all: Samples): Figure[] {
  return SIDES.map((what) => ({
    what,
    unit: "µs of CPU",
    samples: all[what].map(({ cpu }) => cpu["edge"]!),
  }));
}

function timeFigures(all: Samples): Figure[] {
  return SIDES.flatMap((what) => {
    const of = (name: string, unit: string, figure: (one: Sample) => number): Figure => ({
      what: `${what}: ${name}`,
      unit,
      samples: all[what].map((one) => figure(one)),
    });
    return [
      of("p50", "ms", ({ p50 }) => p50 / 1_000),
      of("p99", "ms", ({ p99 }) => p99 / 1_000),
      of("requests", "/s", ({ perSecond }) => perSecond),
      of("the edge, for each", "µs of CPU", ({ cpu }) => cpu["edge"]!),
      of("the driver", "% of its core", ({ driver }) => driver * 100),
    ];
  });
}

/** Measures one while the others stand still. */
async function alone<T>(one: Side, all: readonly Side[], work: () => Promise<T>): Promise<T> {
  const others = all.filter((side) => side !== one).flatMap(({ processes }) => Object.values(processes));
  for (const other of others) other.freeze();
  try {
    return await work();
  } finally {
    for (const other of others) other.thaw();
  }
}
