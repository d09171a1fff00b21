import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { createScopeToken } from "../client/index.ts";
import { relayUrl, relayUrlAllow } from "../protocol/relay-urls.ts";
import { addClient } from "../test/support/operator-calls.ts";
import { freePort } from "../test/support/stack.ts";
import { compile, packed, startOrigin } from "./native.ts";
import { startHaproxy } from "./peers/haproxy.ts";
import { startPeers } from "./peers/peer.ts";
import { startSquid } from "./peers/squid.ts";
import { CORES, pin, Process } from "./processes.ts";
import { median } from "./stats.ts";
import { NO_LIMIT } from "./warm-edge/edge.ts";
import { writeRequests } from "./warm-edge/requests.ts";
import { ANSWER_BYTES, type Sample, sample, type Side } from "./warm-edge/sample.ts";
import { startMeasuredNode } from "./warm-node/relay.ts";
import { plainRequest } from "./warm-node/requests.ts";
import { alternate, type Figure, type Section, type Workload } from "./workload.ts";

const HOST = "127.0.0.1";

/** Requests of a sample by how many are under way at once, how often each is taken, and how many go before all of them. */
const FULL = { requests: { 1: 2_000, 32: 8_000, 256: 8_000 }, rounds: 5, before: 20_000 };
const QUICK = { requests: { 1: 200, 32: 800 }, rounds: 1, before: 600 };

const DIRECT = "direct";
const SIGNED = "Holdfast, signed fetch";
const SIGNED_TLS = "Holdfast, signed fetch, TLS to the target";
const BY_URL = "Holdfast, relay URL, TLS to the target";

/** What writes a sample's requests, each sent once. */
type Write = (file: string, count: number) => void | Promise<void>;
type Measured = Side & { readonly write: Write };

const HOW =
  "Edge and node share one core, on which Squid and HAProxy have their turns; all are spoken to in the clear, the node by the edge over TLS. " +
  "Each signed fetch is a request of its own that the client library has signed; the relay URL, which is for https alone, has one token for all. Answers have 1,000 bytes.";

/** A request all the way, by edge and node both. */
export const warmRelay: Workload = {
  name: "warm-relay",
  title: "Warm requests: edge and node",
  async run(options) {
    const { dir, quick } = options;
    const log = (line: string) => options.log(line);
    const running: { stop(): Promise<unknown> }[] = [];
    try {
      const driver = await compile("load");
      const origin = await startOrigin({ host: HOST, http: await freePort(), tcp: await freePort() });
      running.push(origin.process);
      const { stack, pid, certificate: tls } = await startMeasuredNode(join(dir, "relay"));
      running.push(stack);
      const edge = Process.of(stack.process("edge"));
      pin(edge.pid, CORES.measured);
      const node = Process.of(stack.process("node-1"));
      if (node.pid !== pid) throw new Error("another node is measured");
      const target = `http://${HOST}:${origin.http}`;
      const url = `${target}/bytes/${ANSWER_BYTES}`;
      const place = async (name: string) => ({
        dir: join(dir, name),
        host: HOST,
        port: await freePort(),
        core: CORES.measured,
      });
      const secured = await place("secured");
      const securedTarget = `https://localhost:${secured.port}`;
      const client = await addClient(stack.operator, "bench", {
        allow: [target, securedTarget],
        pool: ["node-1"],
        limits: { requestsPerSecond: NO_LIMIT, concurrent: NO_LIMIT },
      });
      const [squidPlace, haproxyPlace] = [await place("squid"), await place("haproxy")];
      const { running: peers, missing } = await startPeers({
        Squid: () => startSquid(squidPlace),
        HAProxy: () => startHaproxy(haproxyPlace, "http", `${HOST}:${origin.http}`),
        // What makes the target one of TLS; it stands beside the driver.
        target: () => startHaproxy({ ...secured, core: CORES.driver, tls }, "http", `${HOST}:${origin.http}`),
      });
      const { target: beside, ...proxies } = peers;
      if (beside === undefined) throw new Error("there is no HAProxy, which makes the target one of TLS");
      const others = Object.values(proxies).map((peer) => peer.process);
      running.push(beside.process, ...others);

      const repeated = (request: string): Write => {
        return (file, count) => writeFileSync(file, packed(Array.from({ length: count }, () => request)));
      };
      const signed = (to: string): Write => {
        return (file, count) => writeRequests(file, [client.relayUrl], { url: to, method: "GET" }, count);
      };
      const relay = { ...at(stack.edge), processes: { edge, node } };
      const token = await createScopeToken(client.relayUrl, {
        act: "url",
        allow: relayUrlAllow(securedTarget),
        ttlSeconds: 3_600,
      });
      const byUrl = new URL(`${relayUrl(stack.edge, token, securedTarget)}/bytes/${ANSWER_BYTES}`);
      const sides: Record<string, Measured> = {
        [DIRECT]: {
          host: HOST,
          port: origin.http,
          processes: {},
          write: repeated(plainRequest("GET", new URL(url).pathname, new URL(url).host)),
        },
        ...Object.fromEntries(
          Object.entries(proxies).map(([name, peer]) => [
            name,
            {
              ...peer,
              processes: { proxy: peer.process },
              write: repeated(plainRequest("GET", url, new URL(url).host)),
            },
          ]),
        ),
        [SIGNED]: {
          ...relay,
          write: signed(url),
        },
        [SIGNED_TLS]: { ...relay, write: signed(`${securedTarget}/bytes/${ANSWER_BYTES}`) },
        [BY_URL]: { ...relay, write: repeated(plainRequest("GET", byUrl.pathname, byUrl.host)) },
      };
      for (const other of others) other.freeze();
      const take = async (side: Measured, connections: number, count: number): Promise<Sample> => {
        const file = join(dir, "requests");
        await side.write(file, count);
        const { proxy } = side.processes;
        proxy?.thaw();
        try {
          // What somebody signed is good once, so that nothing is sent again.
          return await sample(driver, side, { file, connections, log, isRepeatable: proxy !== undefined });
        } finally {
          proxy?.freeze();
        }
      };

      const { requests, rounds, before } = quick ? QUICK : FULL;
      for (const name of [SIGNED, SIGNED_TLS, BY_URL]) await take(sides[name]!, 32, before);
      log("all are warm");
      const sections: Section[] = [];
      for (const [connections, count] of Object.entries(requests)) {
        const samples = await alternate(
          rounds,
          Object.fromEntries(
            Object.entries(sides).map(([name, side]) => [name, () => take(side, Number(connections), count)]),
          ),
        );
        sections.push(...sectionsOf(Number(connections), samples));
        log(`${connections} at once: measured`);
      }
      return {
        sections,
        peers: Object.values(proxies).map(({ name, version, config = "" }) => ({ name, version, config })),
        missing,
      };
    } finally {
      await Promise.all(running.map((one) => one.stop()));
    }
  },
};

function at(origin: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(origin);
  return { host: hostname, port: Number(port) };
}

function sectionsOf(connections: number, samples: Readonly<Record<string, readonly Sample[]>>): Section[] {
  const base = (of: "p50" | "p99") => median(samples[DIRECT]!.map((one) => one[of]));
  const [early, late] = [base("p50"), base("p99")];
  const others = Object.keys(samples).filter((name) => name !== DIRECT);
  const rows = (what: string, unit: string, of: (one: Sample) => number, names = others): Figure[] =>
    names.map((name) => ({ what: `${name}: ${what}`, unit, samples: samples[name]!.map(of) }));
  const relays = [SIGNED, SIGNED_TLS, BY_URL];
  return [
    {
      title: `${connections} at once: CPU of all that relays`,
      note: HOW,
      isDrawn: true,
      figures: rows("CPU", "µs", ({ cpu }) => Object.values(cpu).reduce((sum, one) => sum + one, 0)),
    },
    {
      title: `${connections} at once: time, and whose CPU it is`,
      note: "What is added to the target's own answer, which the direct rows have.",
      figures: [
        ...rows("p50", "µs", ({ p50 }) => p50, [DIRECT]),
        ...rows("p99", "µs", ({ p99 }) => p99, [DIRECT]),
        ...rows("added at p50", "µs", ({ p50 }) => p50 - early),
        ...rows("added at p99", "µs", ({ p99 }) => p99 - late),
        ...rows("the edge's CPU", "µs", ({ cpu }) => cpu["edge"]!, relays),
        ...rows("the node's CPU", "µs", ({ cpu }) => cpu["node"]!, relays),
        ...rows("answers", "/s", ({ perSecond }) => perSecond, Object.keys(samples)),
        ...rows("the driver", "% of its core", ({ driver }) => driver * 100, Object.keys(samples)),
      ],
    },
  ];
}
