import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../test/support/stack.ts";
import { computedMs, residentMb, systemMs } from "../machine.ts";
import { compile, startOrigin } from "../native.ts";
import { startHaproxy } from "../peers/haproxy.ts";
import { startDante, startProxyChain, startTinyproxy } from "../peers/others.ts";
import { type PeerPlace, type RunningPeer, startPeers } from "../peers/peer.ts";
import { startSquid } from "../peers/squid.ts";
import { CORES, treeOf } from "../processes.ts";
import type { Findings } from "../workload.ts";
import { TunnelRelay } from "./relay.ts";
import {
  connectHandshake,
  Driver,
  type Handshake,
  socksHandshake,
  type TunnelPlace,
  writeHandshakes,
} from "./tunnels.ts";

const HOST = "127.0.0.1";
/** What a thawed program may have to catch up with. */
const THAW_MS = 100;

/** One way to the target. */
export interface Side {
  readonly name: string;
  readonly place: TunnelPlace;
  /** The processes that are measured; none for the way without a proxy. */
  readonly pids: () => readonly number[];
}

/** All that can be measured, ready; what isn't being measured is frozen. */
export interface Bench {
  readonly driver: Driver;
  readonly relay: TunnelRelay;
  readonly sides: ReadonlyMap<string, Side>;
  readonly found: Pick<Findings, "peers" | "missing">;
  /** Tokens that no node has been asked about, one for each set-up. */
  readonly uncached: (count: number) => Promise<TunnelPlace>;
  readonly stop: () => Promise<void>;
}

export const DIRECT = "direct";
export const HAPROXY = "HAProxy, TCP";
export const SPLICE = "HAProxy, forced splice";
export const SQUID = "Squid";
export const DANTE = "Dante, SOCKS";
export const CONNECT = "Holdfast, CONNECT";
export const SOCKS = "Holdfast, SOCKS";
export const TWO = "Holdfast, CONNECT, two processes";

/** Why it is not measured: the issue asks for it where Debian has it. */
const NOT_IN_DEBIAN = { name: "3proxy", why: "not among the packages of this Debian" };

export async function startBench(dir: string): Promise<Bench> {
  const origin = await startOrigin({ host: HOST, http: await freePort(), tcp: await freePort() });
  const driver = new Driver(await compile("tunnels"));
  const authority = `${HOST}:${origin.tcp}`;
  const relay = await TunnelRelay.start(join(dir, "relay"), `tcp://${authority}`);
  const place = async (name: string): Promise<PeerPlace> => ({
    dir: join(dir, name),
    host: HOST,
    port: await freePort(),
    core: CORES.measured,
  });
  const { running, missing } = await startPeers({
    [HAPROXY]: async () => startHaproxy(await place("haproxy"), "tcp", authority),
    [SPLICE]: async () => startHaproxy(await place("haproxy-splice"), "tcp-splice", authority),
    [SQUID]: async () => startSquid(await place("squid")),
    tinyproxy: async () => startTinyproxy(await place("tinyproxy")),
    "proxy-chain": async () => startProxyChain(await place("proxy-chain")),
    [DANTE]: async () => startDante(await place("dante")),
  });
  let files = 0;
  const file = (...handshakes: Handshake[]) =>
    writeHandshakes(join(dir, `handshakes-${files++}`), handshakes);
  const connect = file(connectHandshake(authority));
  const straight = file([]);
  const ours = file(connectHandshake(authority, await relay.login()));
  const oursSocks = file(socksHandshake(HOST, origin.tcp, await relay.handle()));
  const sides = new Map<string, Side>();
  const add = (name: string, port: number, handshakes: string, pids: () => readonly number[]) =>
    sides.set(name, { name, place: { host: HOST, port, file: handshakes }, pids });
  add(DIRECT, origin.tcp, straight, () => []);
  for (const [name, peer] of Object.entries<RunningPeer>(running)) {
    const isTcp = name === HAPROXY || name === SPLICE;
    const handshakes = name === DANTE ? file(socksHandshake(HOST, origin.tcp)) : isTcp ? straight : connect;
    add(name, peer.port, handshakes, () => treeOf(peer.process.pid));
  }
  add(CONNECT, relay.alone.http, ours, () => relay.aloneIds);
  add(SOCKS, relay.alone.socks5, oursSocks, () => relay.aloneIds);
  add(TWO, relay.shared.http, ours, () => relay.sharedIds);
  for (const { pids } of sides.values()) signal(pids(), "SIGSTOP");
  return {
    driver,
    relay,
    sides,
    found: {
      peers: Object.values(running).map(({ name, version, config }) => ({
        name,
        version,
        config: config ?? "",
      })),
      missing: [...missing, NOT_IN_DEBIAN],
    },
    uncached: async (count) => {
      const handshakes: Handshake[] = [];
      for (let at = 0; at < count; at++) handshakes.push(connectHandshake(authority, await relay.login()));
      return { host: HOST, port: relay.alone.http, file: file(...handshakes) };
    },
    stop: async () => {
      for (const { pids } of sides.values()) signal(pids(), "SIGCONT");
      for (const peer of Object.values<RunningPeer>(running)) await peer.process.stop();
      await relay.stop();
      await origin.process.stop();
    },
  };
}

/** Measures with one side's processes running, and no other's. A tunnel is opened first: what it is granted is known then. */
export async function awake<T>(driver: Driver, side: Side, work: () => Promise<T>): Promise<T> {
  signal(side.pids(), "SIGCONT");
  try {
    await sleep(THAW_MS);
    await driver.rate(side.place, 1, 0.05);
    return await work();
  } finally {
    signal(side.pids(), "SIGSTOP");
  }
}

/** What a side's processes have computed, in milliseconds. */
export function cpuOf({ pids }: Side): number {
  return pids().reduce((sum, pid) => sum + computedMs(pid), 0);
}

/** What of that was the system's, in milliseconds. */
export function systemOf({ pids }: Side): number {
  return pids().reduce((sum, pid) => sum + systemMs(pid), 0);
}

/** What they take of memory, in kB. */
export function residentKb({ pids }: Side): number {
  return pids().reduce((sum, pid) => sum + residentMb(pid) * 1_024, 0);
}

/** One of a tree may have gone since that was looked at. */
function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
