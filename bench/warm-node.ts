import { join, resolve } from "node:path";
import { NODE_ENV, NODE_FLAGS } from "../dev/stack.ts";
import { freePort } from "../test/support/stack.ts";
import type { Ratios } from "./goals.ts";
import { compile, startOrigin } from "./native.ts";
import { startHaproxy } from "./peers/haproxy.ts";
import { type RunningPeer, startPeers } from "./peers/peer.ts";
import { startSquid } from "./peers/squid.ts";
import { CORES, Process } from "./processes.ts";
import { median } from "./stats.ts";
import { startMeasuredNode } from "./warm-node/relay.ts";
import type { Method } from "./warm-node/requests.ts";
import { type Sample, type Side, takeSample } from "./warm-node/side.ts";
import {
  alternate,
  type Figure,
  type Findings,
  type Peer,
  type Section,
  type Workload,
  type WorkloadOptions,
} from "./workload.ts";

const HOST = "127.0.0.1";
const CONCURRENT = [1, 32, 256] as const;
const PATH = "/bytes/1024";

/** How often and how long each side is measured, in seconds. */
const FULL = { rounds: 5, seconds: 2 } as const;
const QUICK = { rounds: 1, seconds: 0.4 } as const;

/** So many requests until a node's code is compiled as it stays: less tells of the compiler. */
export const WARM_UP = 40_000;

/** Warm requests through one node, with a fresh grant on each, beside forward proxies. */
export const warmNode: Workload = {
  name: "warm-node",
  title: "Warm requests: what a node adds, and what it computes",
  run,
};

/** What each is called; those but the first are taken over TLS where nothing else is said. */
const NAMES = {
  direct: "direct",
  node: "Holdfast's node",
  squid: "Squid",
  squidPlain: "Squid in the clear",
  haproxy: "HAProxy",
  reference: "node:https and undici alone",
  nodePost: "Holdfast's node, POST of 1 kB",
  squidPost: "Squid, POST of 1 kB",
  nodeTls: "Holdfast's node, TLS to the target",
} as const;
type SideName = keyof typeof NAMES;
type Sides = Partial<Record<SideName, Omit<Side, "name"> & { readonly method?: Method }>>;
type Samples = Partial<Record<SideName, readonly Sample[]>>;

/** What is measured at one number of requests at once alone. */
const AT_32_ALONE: readonly string[] = ["nodePost", "squidPost", "nodeTls"] satisfies readonly SideName[];

async function run(options: WorkloadOptions): Promise<Findings> {
  const { dir, quick } = options;
  const log = (line: string) => options.log(line);
  const running: { stop(): Promise<unknown> }[] = [];
  try {
    const driver = await compile("load");
    const [http, tcp, squid, squidPlain, haproxy, secured, reference] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const origin = await startOrigin({ host: HOST, http, tcp });
    running.push(origin.process);
    const node = await startMeasuredNode(join(dir, "relay"));
    running.push(node.stack);
    const { certificate: tls } = node;
    const target = `${HOST}:${http}`;
    const at = (name: string, port: number) => ({
      dir: join(dir, name),
      host: HOST,
      port,
      core: CORES.measured,
    });
    const { running: peers, missing } = await startPeers({
      squid: () => startSquid({ ...at("squid", squid), tls }),
      squidPlain: () => startSquid(at("squid-plain", squidPlain)),
      haproxy: () => startHaproxy({ ...at("haproxy", haproxy), tls }, "http", target),
      // What makes the target one of TLS; it stands beside the driver.
      secured: () => startHaproxy({ ...at("secured", secured), core: CORES.driver, tls }, "http", target),
    });
    const bare = await startReference(reference, tls, `http://${target}${PATH}`);
    const measured = [peers.squid, peers.squidPlain, peers.haproxy, { process: bare }].flatMap(
      (peer) => peer?.process ?? [],
    );
    running.push(...measured, ...(peers.secured === undefined ? [] : [peers.secured.process]));
    for (const process of measured) process.freeze();

    const urls = [`http://${target}${PATH}`];
    const proxy = (peer: RunningPeer | undefined) =>
      peer && {
        ...peer,
        tls: peer !== peers.squidPlain,
        urls,
        form: "whole URL" as const,
        pid: peer.process.pid,
      };
    const granted = { host: node.host, port: node.port, tls: true, urls, form: node.maker, pid: node.pid };
    const sides = present({
      direct: { host: HOST, port: http, tls: false, urls, form: "path alone" },
      node: granted,
      squid: proxy(peers.squid),
      squidPlain: proxy(peers.squidPlain),
      haproxy: proxy(peers.haproxy),
      reference: {
        host: HOST,
        port: reference,
        tls: true,
        urls,
        form: "whole URL",
        pid: bare.pid,
        process: bare,
      },
      nodePost: { ...granted, method: "POST" },
      squidPost: peers.squid && { ...proxy(peers.squid)!, method: "POST" },
      nodeTls: peers.secured && { ...granted, urls: [`https://localhost:${secured}${PATH}`] },
    });
    log("everything serves");

    const { rounds, seconds } = quick ? QUICK : FULL;
    if (!quick) {
      for (const [name, side] of Object.entries(sides)) {
        const { method = "GET" } = side;
        const warming = { driver, dir, method, connections: 32, seconds: 0.1, skip: WARM_UP, log };
        await takeSample({ ...side, name: NAMES[name as SideName] }, warming);
      }
      log("all are warm");
    }
    const taken: (readonly [connections: number, samples: Samples])[] = [];
    for (const connections of CONCURRENT) {
      const sampled = Object.entries(sides)
        .filter(([name]) => connections === 32 || !AT_32_ALONE.includes(name))
        .map(([name, side]) => {
          const { method = "GET" } = side;
          return [
            name,
            () =>
              takeSample(
                { ...side, name: NAMES[name as SideName] },
                { driver, dir, method, connections, seconds, log },
              ),
          ] as const;
        });
      taken.push([connections, await alternate<string, Sample>(rounds, Object.fromEntries(sampled))]);
      log(`${connections} at once: measured`);
    }
    return {
      sections: taken.flatMap(([connections, samples]) => sectionsOf(connections, samples)),
      ratios: ratiosOf(new Map(taken)),
      peers: [peers.squid, peers.squidPlain, peers.haproxy].flatMap((peer) =>
        peer === undefined ? [] : [told(peer)],
      ),
      missing,
    };
  } finally {
    await Promise.all(running.map((one) => one.stop()));
  }
}

/** A peer as the results have it. */
function told({ name, version, config }: RunningPeer): Peer {
  return config === undefined ? { name, version } : { name, version, config };
}

function startReference(
  port: number,
  { cert, key }: { readonly cert: string; readonly key: string },
  target: string,
): Promise<Process> {
  const script = resolve(import.meta.dirname, "warm-node/reference.ts");
  return Process.start(process.execPath, [...NODE_FLAGS, script, HOST, String(port), cert, key, target], {
    core: CORES.measured,
    env: NODE_ENV,
    ready: { host: HOST, port },
  });
}

function sectionsOf(connections: number, samples: Samples): Section[] {
  const base = median((samples.direct ?? []).map(({ p50 }) => p50));
  const baseLate = median((samples.direct ?? []).map(({ p99 }) => p99));
  const figures = (what: string, unit: string, value: (sample: Sample) => number, isAll = false): Figure[] =>
    (Object.keys(samples) as SideName[])
      .filter((name) => isAll || name !== "direct")
      .map((name) => ({ what: `${NAMES[name]}: ${what}`, unit, samples: samples[name]!.map(value) }));
  const driver = Math.max(
    ...Object.values(samples)
      .flat()
      .map(({ driverShare }) => driverShare),
  );
  const note = `Answers of 1 kB over connections that stay, ${connections} at once; every request at the node has a grant of its own, good once. The driver took at most ${Math.round(driver * 100)} % of its core, of which the target takes a part, too.`;
  return [
    {
      title: `${connections} at once: CPU`,
      note,
      figures: figures("CPU", "µs", ({ cpuEach }) => cpuEach),
      isDrawn: true,
    },
    {
      title: `${connections} at once: time`,
      note: "What is added to the target's own answer, which the direct rows have.",
      figures: [
        ...(samples.direct === undefined
          ? []
          : [
              { what: "direct: p50", unit: "µs", samples: samples.direct.map(({ p50 }) => p50) },
              { what: "direct: p99", unit: "µs", samples: samples.direct.map(({ p99 }) => p99) },
            ]),
        ...figures("added at p50", "µs", ({ p50 }) => p50 - base),
        ...figures("added at p99", "µs", ({ p99 }) => p99 - baseLate),
        ...figures("answers", "/s", ({ requests, seconds }) => requests / seconds, true),
      ],
    },
  ];
}

function ratiosOf(taken: ReadonlyMap<number, Samples>): Ratios {
  const of = (connections: number, name: SideName, value: (sample: Sample) => number) =>
    median((taken.get(connections)?.[name] ?? []).map(value));
  const added = (name: SideName) => of(1, name, ({ p50 }) => p50) - of(1, "direct", ({ p50 }) => p50);
  const cpu = (name: SideName) => of(32, name, ({ cpuEach }) => cpuEach);
  return {
    "warm-added-p50": added("node") / added("squid"),
    "node-cpu-32": cpu("node") / cpu("squid"),
  };
}

function present(sides: Readonly<Record<SideName, Sides[SideName]>>): Sides {
  return Object.fromEntries(Object.entries(sides).filter(([, side]) => side !== undefined));
}
