import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createScopeToken } from "../../client/index.ts";
import { relayUrl, relayUrlAllow } from "../../protocol/relay-urls.ts";
import type { Conversation } from "../../test/support/conversation.ts";
import { PREPARED, startHostedRelay } from "../../test/support/hosted-relay.ts";
import { type ModuleOnHost, startModule } from "../../test/support/module-on-host.ts";
import { type Peers, startPeers } from "../peers/peer.ts";
import { startSquid } from "../peers/squid.ts";
import { CORES, pin } from "../processes.ts";
import { quietly } from "../quiet.ts";
import { alternate } from "../workload.ts";
import { ADDRESSES, EDGE_ORIGIN, type Host, NAMES, PORTS, TARGET_ORIGIN } from "./hosts.ts";
import { ANSWERS, type AnswerSize, QUICK, type Sizes, WARMING, WHOLE, WINDOW_SEGMENTS } from "./limits.ts";
import { LongLines } from "./network.ts";
import { FETCH, type Side, sidesFor, WIDE_FETCH } from "./sides.ts";
import type { Access } from "./ways.ts";

/** Runs in namespaces of its own, as the relay's host. Arguments: the folder that was prepared, `quick` or `whole`. */

/** What a run writes to its folder, in milliseconds. */
export interface Cold {
  readonly lines: Readonly<Record<string, readonly number[]>>;
  readonly calls: Readonly<Partial<Record<AnswerSize, Readonly<Record<string, readonly number[]>>>>>;
  /** First calls after a pause; empty in a quick run. */
  readonly paused: Readonly<Record<string, readonly number[]>>;
  readonly peers: readonly { readonly name: string; readonly version: string; readonly config: string }[];
  readonly missing: Peers<never>["missing"];
}

const CLIENT = "app";
/** What is called after a pause. */
const PAUSED: Partial<Record<AnswerSize, readonly string[]>> = {
  "1 kB": [FETCH],
  "100 kB": [FETCH, WIDE_FETCH],
};
const FILE = "cold.json";
const log = (line: string) => console.log(`cold        ${line}`);

class ColdBench {
  readonly #lines: LongLines;
  readonly #caller: Conversation;
  readonly #access: Access;
  readonly #sizes: Sizes;
  readonly #hasSquid: boolean;

  constructor(
    lines: LongLines,
    parts: { caller: Conversation; access: Access; sizes: Sizes; hasSquid: boolean },
  ) {
    this.#lines = lines;
    this.#caller = parts.caller;
    this.#access = parts.access;
    this.#sizes = parts.sizes;
    this.#hasSquid = parts.hasSquid;
  }

  /** What a TCP connection takes, which is once there and back. */
  async lines(): Promise<Cold["lines"]> {
    const to = (host: string, port: number) => () =>
      this.#caller.ask<number>({ what: "connect", host, port });
    return alternate(this.#sizes.lineRounds, {
      "TCP connection, client to relay": to(ADDRESSES.edge, PORTS.https),
      "TCP connection, client to target": to(ADDRESSES.target, PORTS.https),
    });
  }

  /** What is in use has been called before, by others. */
  async use(): Promise<void> {
    const { before } = this.#sizes;
    const calls = await this.#caller.ask<number>({ what: "many", access: this.#access, ...before });
    log(`others have made ${calls} calls`);
  }

  async calls(size: AnswerSize): Promise<Record<string, number[]>> {
    const sides = sidesFor(size).filter(({ way }) => way !== "squid" || this.#hasSquid);
    const bytes = ANSWERS[size];
    for (const side of sides) for (let call = 0; call < WARMING; call++) await this.#call(side, bytes);
    const found = await alternate(
      this.#sizes.rounds,
      Object.fromEntries(sides.map((side) => [side.name, () => quietly(log, () => this.#call(side, bytes))])),
    );
    log(`called for ${size}`);
    return found;
  }

  /** The first call after nobody has called for a while. */
  async paused(): Promise<Cold["paused"]> {
    const { pauseRounds, pauseMs } = this.#sizes;
    const found: Record<string, number[]> = {};
    if (pauseRounds === 0) return found;
    for (const [size, names] of Object.entries(PAUSED) as [AnswerSize, string[]][]) {
      for (const name of names) {
        const side = sidesFor(size).find((one) => one.name === name)!;
        const samples: number[] = [];
        for (let round = 0; round < pauseRounds; round++) {
          await sleep(pauseMs);
          samples.push(await this.#coldCall(side, ANSWERS[size]));
        }
        found[`${size}: ${name}`] = samples;
      }
    }
    return found;
  }

  /** A cold call right after one of another instance: a relay is in use. */
  async #call(side: Side, bytes: number): Promise<number> {
    await this.#caller.ask<number>({ what: "other", access: this.#access, bytes });
    return this.#coldCall(side, bytes);
  }

  async #coldCall({ way, isWide }: Side, bytes: number): Promise<number> {
    if (isWide === true) await this.#lines.window(WINDOW_SEGMENTS, "set");
    try {
      return await this.#caller.ask<number>({ what: "call", way, access: this.#access, bytes });
    } finally {
      if (isWide === true) await this.#lines.window(WINDOW_SEGMENTS, "undo");
    }
  }
}

async function measure(dir: string, sizes: Sizes): Promise<Cold> {
  const lines = await LongLines.make(dir);
  const modules: ModuleOnHost[] = [];
  const start = async (host: Host, module: string, args: readonly string[]) => {
    const started = await startModule(lines, host, join(import.meta.dirname, module), args);
    pin(started.process.pid!, host === "relay" ? CORES.measured : CORES.driver);
    modules.push(started);
    return started;
  };
  await start("relay", "../../test/support/name-server.ts", [ADDRESSES.node, JSON.stringify(NAMES)]);
  const certificate = [join(dir, PREPARED.cert), join(dir, PREPARED.key)];
  await start("target", "target.ts", [ADDRESSES.target, String(PORTS.https), ...certificate]);
  const caller = await start("client", "caller.ts", []);
  const place = { id: "node-1", host: "relay", bind: ADDRESSES.node, public: ADDRESSES.node } as const;
  const relay = await startHostedRelay<Host>(lines, {
    dir,
    edge: { host: "relay", address: ADDRESSES.edge, origin: EDGE_ORIGIN },
    port: PORTS.https,
    nodes: [place],
    peers: [],
    nodeConfig: { nameServers: [ADDRESSES.node], open: ["198.51.100.0/24"] },
    proxy: { https: PORTS.proxyDoor, http: PORTS.proxyDoor + 1, socks5: PORTS.proxyDoor + 2 },
  });
  for (const pid of [relay.edge.pid, relay.nodes.get(place.id)!.pid]) pin(pid, CORES.measured);
  await relay.register(CLIENT, {
    allow: [TARGET_ORIGIN],
    limits: { requestsPerSecond: 1_000, concurrent: 1_000 },
  });
  const squid = await startPeers({
    Squid: () =>
      startSquid({ dir: join(dir, "squid"), host: ADDRESSES.proxy, port: PORTS.squid, core: CORES.measured }),
  });
  log("all of it serves");
  const access = await accessOf(relay.url(CLIENT));
  const bench = new ColdBench(lines, {
    caller,
    access,
    sizes,
    hasSquid: squid.running.Squid !== undefined,
  });
  const wires = await bench.lines();
  await bench.use();
  const calls: Partial<Record<AnswerSize, Record<string, number[]>>> = {};
  for (const size of sizes.answers) calls[size] = await bench.calls(size);
  const found = {
    lines: wires,
    calls,
    paused: await bench.paused(),
    peers: Object.values(squid.running).map(({ name, version, config = "" }) => ({ name, version, config })),
    missing: squid.missing,
  };
  await relay.stop();
  for (const { process: child } of modules) child.kill("SIGKILL");
  for (const { process: peer } of Object.values(squid.running)) await peer.stop();
  await lines.close();
  return found;
}

async function accessOf(holdfast: string): Promise<Access> {
  const token = await createScopeToken(holdfast, {
    act: "url",
    allow: relayUrlAllow(TARGET_ORIGIN),
    ttlSeconds: 3_600,
  });
  const password = await createScopeToken(holdfast, {
    act: "proxy",
    allow: [TARGET_ORIGIN],
    ttlSeconds: 3_600,
  });
  return { holdfast, relayUrl: relayUrl(EDGE_ORIGIN, token, TARGET_ORIGIN), user: CLIENT, password };
}

const [dir = "", share = ""] = process.argv.slice(2);
try {
  writeFileSync(join(dir, FILE), JSON.stringify(await measure(dir, share === "quick" ? QUICK : WHOLE)));
  // As the first process of its namespace it takes every other one with it.
  process.exit(0);
} catch (error) {
  console.error(error);
  process.exit(1);
}
