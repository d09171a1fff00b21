import { join } from "node:path";
import { freePort } from "../test/support/stack.ts";
import { compile, startOrigin } from "./native.ts";
import { residentMb } from "./machine.ts";
import { WARM_UP } from "./warm-node.ts";
import { startMeasuredNode } from "./warm-node/relay.ts";
import { type Sample, takeSample } from "./warm-node/side.ts";
import type { Findings, Workload, WorkloadOptions } from "./workload.ts";

const CONNECTIONS = 32;

/** How many targets stand in the node's pool. */
const FULL = { targets: [1, 10, 100, 1_000], seconds: 2, rounds: 3 } as const;
const QUICK = { targets: [1, 100], seconds: 0.4, rounds: 1 } as const;

/** What a node computes for a request, and what it holds, with more and more targets in its pool of warm connections. */
export const growthTargets: Workload = {
  name: "growth-targets",
  title: "Warm requests: more and more targets",
  run,
};

async function run(options: WorkloadOptions): Promise<Findings> {
  const { dir, quick } = options;
  const log = (line: string) => options.log(line);
  const driver = await compile("load");
  const [http, tcp] = [await freePort(), await freePort()];
  const origin = await startOrigin({ host: "0.0.0.0", http, tcp });
  const node = await startMeasuredNode(join(dir, "relay")).catch(async (error: unknown) => {
    await origin.process.stop();
    throw error;
  });
  try {
    const { targets, seconds, rounds } = quick ? QUICK : FULL;
    const side = { host: node.host, port: node.port, tls: true, form: node.maker, pid: node.pid };
    const sampled = (count: number, skip: number) =>
      takeSample(
        { ...side, name: `${count} targets`, urls: urlsOf(count, http) },
        { driver, dir, method: "GET", connections: CONNECTIONS, seconds, skip, log },
      );
    await sampled(1, quick ? 0 : WARM_UP);
    const figures: { count: number; samples: Sample[]; memory: number[] }[] = [];
    for (const count of targets) {
      const samples: Sample[] = [];
      const memory: number[] = [];
      for (let round = 0; round < rounds; round++) {
        // Each target is connected to before it counts.
        samples.push(await sampled(count, count * 2));
        memory.push(residentMb(node.pid));
      }
      figures.push({ count, samples, memory });
      log(`${count} targets: measured`);
    }
    return {
      sections: [
        {
          title: "Targets in the pool",
          note: `Requests go to the targets in turn, ${CONNECTIONS} at once, each answered by 1 kB: addresses of loopback, one origin each. Memory is the node's resident set after each measurement, which has grown over the run.`,
          figures: figures.flatMap(({ count, samples, memory }) => [
            { what: `${count} targets: CPU`, unit: "µs", samples: samples.map(({ cpuEach }) => cpuEach) },
            { what: `${count} targets: p50`, unit: "µs", samples: samples.map(({ p50 }) => p50) },
            { what: `${count} targets: memory`, unit: "MB", samples: memory },
          ]),
        },
      ],
    };
  } finally {
    await node.stack.stop();
    await origin.process.stop();
  }
}

/** So many origins of one server: all of 127.0.0.0/8 leads to it. */
function urlsOf(count: number, port: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => `http://127.1.${Math.floor(index / 200)}.${(index % 200) + 1}:${port}/bytes/1024`,
  );
}
