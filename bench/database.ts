import { join } from "node:path";
import { freePort } from "../test/support/stack.ts";
import { installMissing } from "../test/support/debian-packages.ts";
import { startLoopbackPostgres } from "../test/tunnel/support/servers/loopback-postgres.ts";
import { startAgent } from "./database/agent.ts";
import { connectMs, type Database, fill, select, type Transactions } from "./database/pgbench.ts";
import { startHaproxy } from "./peers/haproxy.ts";
import { debianVersion, type RunningPeer, startPeers } from "./peers/peer.ts";
import { quietly } from "./quiet.ts";
import { median } from "./stats.ts";
import { StreamsRelay } from "./streams/relay.ts";
import { alternate, type Figure, type Section, type Workload } from "./workload.ts";

/** Times in seconds. Code is compiled as it stays after some 40,000 transactions: less tells of the compiler. */
const SIZES = {
  whole: { rounds: 5, seconds: 4, connecting: 2, warm: 20 },
  quick: { rounds: 1, seconds: 1, connecting: 1, warm: 1 },
};
const CLIENTS = [1, 8] as const;
const EVERY_CORE = [0, 1];
const HOST = "127.0.0.1";

const WAYS = {
  direct: "direct",
  edge: "holdfast run, by the edge",
  node: "holdfast run, straight to the node",
  three: "three HAProxies in a row",
  two: "two HAProxies in a row",
  one: "one HAProxy",
} as const;
type Way = keyof typeof WAYS;
const WAY_NAMES = Object.keys(WAYS) as Way[];
/** Those by which connections are set up as well. */
const SET_UP: readonly Way[] = ["direct", "edge", "node"];
/** And those of a share of it. */
const QUICK: readonly Way[] = [...SET_UP, "three"];

/** A measurement, with what the parts of the way computed for each transaction, in microseconds. */
interface Sample extends Transactions {
  readonly agent: number;
  readonly edge: number;
  readonly node: number;
}

const SELECT_NOTE =
  "pgbench -S, its scale 1, by the simple protocol: a transaction is one message there and one back. pgbench, PostgreSQL, the agent, workerd and the node share both cores of the machine. The HAProxies hand bytes on over plain TCP and do nothing else: three processes one behind the other as a tunnel by the edge has, two as one straight to the node, and one.";

export const database: Workload = {
  name: "database",
  title: "Databases through the tunnel",
  async run(options) {
    const { quick, dir } = options;
    const log = (line: string) => options.log(line);
    const { rounds, seconds, connecting, warm } = quick ? SIZES.quick : SIZES.whole;
    await installMissing(["postgresql"], "bench");
    const running: { stop(): Promise<void> }[] = [];
    try {
      const port = await freePort();
      const postgres = await startLoopbackPostgres(port, [HOST, "127.0.0.2"]);
      running.push(postgres);
      const { username, password, pathname } = new URL(postgres.url);
      const at = (where: number): Database => ({
        host: HOST,
        port: where,
        user: username,
        password: decodeURIComponent(password),
        name: pathname.slice(1),
      });
      await fill(at(port));
      const relay = await StreamsRelay.start(join(dir, "relay"), [`tcp://${HOST}:${port}`], EVERY_CORE);
      running.push(relay);
      const env = { HOLDFAST_URL: relay.relayUrl, NODE_EXTRA_CA_CERTS: relay.stack.caFile };
      const [byEdge, straight, asked] = [await freePort(), await freePort(), await freePort()];
      const agent = (listen: number, via: "edge" | "direct", ahead = true) =>
        startAgent(dir, { port, listen, via, core: EVERY_CORE, ahead }, env);
      const started = await Promise.allSettled([
        agent(byEdge, "edge"),
        agent(straight, "direct"),
        agent(asked, "edge", false),
      ]);
      for (const one of started) if (one.status === "fulfilled") running.push(one.value);
      const [edge, node] = started.map((one) => {
        if (one.status === "rejected") throw one.reason;
        return one.value;
      });
      const agents = { edge: edge!, node: node! };
      const [first, second, third] = [await freePort(), await freePort(), await freePort()];
      const hop = (from: number, to: number) => () =>
        startHaproxy(
          { dir: join(dir, `haproxy-${from}`), host: HOST, port: from, core: EVERY_CORE },
          "tcp",
          `${HOST}:${to}`,
        );
      const bare = await startPeers({
        one: hop(first, port),
        two: hop(second, first),
        three: hop(third, second),
      });
      const hops = Object.values<RunningPeer>(bare.running);
      running.push(...hops.map((peer) => peer.process));
      const ports: Record<Way, number> = {
        direct: port,
        edge: byEdge,
        node: straight,
        three: third,
        two: second,
        one: first,
      };
      const selecting = (quick ? QUICK : WAY_NAMES).filter(
        (way) => SET_UP.includes(way) || way in bare.running,
      );
      const cpu = (way: Way) => ({
        agent: way === "edge" || way === "node" ? agents[way].cpuMs : 0,
        ...relay.cpu(),
      });
      const measured = async (way: Way, clients: number, each: boolean): Promise<Sample> => {
        const before = cpu(way);
        const lasts = each ? connecting : seconds;
        const told = await select(at(ports[way]), { clients, seconds: lasts, each });
        const after = cpu(way);
        const count = told.perSecond * lasts;
        const of = (part: keyof typeof after) => ((after[part] - before[part]) * 1_000) / count;
        return { ...told, agent: of("agent"), edge: of("edge"), node: of("node") };
      };
      const sections: Section[] = [];
      const ratios: number[] = [];
      const all = async (clients: number, each: boolean) => {
        const runs = Object.fromEntries(
          (each ? SET_UP : selecting).map((way) => [
            way,
            () => quietly(log, () => measured(way, clients, each)),
          ]),
        ) as Record<Way, () => Promise<Sample>>;
        return alternate(rounds, runs);
      };
      // Code that is compiled late shall be.
      for (const way of ["edge", "node"] as const) {
        await select(at(ports[way]), { clients: 1, seconds: warm });
      }
      for (const clients of CLIENTS) {
        log(`select-only, ${clients} at once`);
        const samples = await all(clients, false);
        const rate = (way: Way) => median(samples[way].map(({ perSecond }) => perSecond));
        ratios.push(rate("edge") / rate("direct"));
        const title = `Select-only, ${clients} at once`;
        sections.push({ title, note: SELECT_NOTE, figures: figures(samples, "perSecond"), isDrawn: true });
      }
      log("a connection for each");
      const samples = await all(1, true);
      sections.push({
        title: "A connection for each transaction",
        note: "pgbench -C with one client: each transaction waits for a TCP connection, the start of PostgreSQL's process for it, and the password's exchange. Each goes by a stream of its own.",
        figures: figures(samples, "latencyMs"),
      });
      log("set-ups with pauses");
      const setups = { direct: port, ahead: byEdge, asked };
      const setUp = (name: keyof typeof setups) => () =>
        connectMs(at(setups[name]), connecting, join(dir, "connect.sql"));
      // The others have taken many connections by now.
      await setUp("asked")();
      const times = await alternate(rounds, {
        direct: setUp("direct"),
        ahead: setUp("ahead"),
        asked: setUp("asked"),
      });
      const took = (what: string, name: keyof typeof setups): Figure => ({
        what,
        unit: "ms until let in",
        samples: times[name],
      });
      sections.push({
        title: "A connection now and then",
        note: "pgbench -C with one client that rests for 20 ms before each: the time until PostgreSQL has let it in. Nothing delays the lines here: what is saved is computing alone, and a way there and back or more on a line that has a length.",
        figures: [
          took(WAYS.direct, "direct"),
          took(`${WAYS.edge}, its path opened ahead`, "ahead"),
          took(`${WAYS.edge}, its path opened when it is asked for`, "asked"),
        ],
      });
      const version = await debianVersion("postgresql");
      return {
        sections,
        ratios: { "pgbench-tps": Math.min(...ratios) },
        peers: [
          { name: "PostgreSQL", version },
          ...hops.slice(0, 1).map((peer) => ({
            name: "HAProxy",
            version: peer.version,
            config: peer.config ?? "",
          })),
        ],
        missing: bare.missing.map(({ name, why }) => ({ name: WAYS[name as Way], why })),
      };
    } finally {
      for (const one of running.toReversed()) await one.stop();
    }
  },
};

function figures(
  samples: Readonly<Record<Way, readonly Sample[]>>,
  first: "perSecond" | "latencyMs",
): Figure[] {
  const figure = (way: Way, part: keyof Sample, unit: string, of = ""): Figure => ({
    what: `${WAYS[way]}${of}`,
    unit,
    samples: samples[way].map((sample) => sample[part]),
  });
  const ways = Object.keys(samples) as Way[];
  const rates = ways.map((way) => figure(way, "perSecond", "transactions/s"));
  const times = ways.map((way) => figure(way, "latencyMs", "ms each"));
  const each = "CPU µs each";
  return [
    ...(first === "perSecond" ? [...rates, ...times] : [...times, ...rates]),
    figure("edge", "agent", each, ": agent"),
    figure("edge", "edge", each, ": workerd"),
    figure("edge", "node", each, ": node"),
    figure("node", "agent", each, ": agent"),
    figure("node", "node", each, ": node"),
  ];
}
