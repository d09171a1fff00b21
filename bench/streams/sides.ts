import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../test/support/stack.ts";
import { packed, startOrigin } from "../native.ts";
import { startPassThrough } from "../peers/pass-through.ts";
import { startWsBridge } from "../peers/ws-bridge-peer.ts";
import { CORES, type Process } from "../processes.ts";
import type { Peer } from "../workload.ts";
import { drive, streamDriver } from "./driver.ts";
import { WAKE_MS, WAKE_POLL_MS } from "./limits.ts";
import { type Mode, type Place, StreamsRelay, upgrade } from "./relay.ts";

/** What bytes are sent through, and how it is called. */
export const SIDES = {
  bridge: "bare bridge behind a pass-through",
  "edge v1": "Holdfast by the edge, v1",
  "edge raw": "Holdfast by the edge, raw",
  "bridge alone": "bare bridge alone",
  "direct v1": "Holdfast straight to the node, v1",
  "direct raw": "Holdfast straight to the node, raw",
} as const;
export type SideName = keyof typeof SIDES;
export const SIDE_NAMES = Object.keys(SIDES) as SideName[];

/** Something that WebSockets are opened at, and that leads to the target. It is frozen but while it is measured. */
export interface Side {
  readonly mode: Mode;
  readonly place: Place;
  /** Writes a file of requests for so many streams. */
  requests(file: string, count: number): Promise<void>;
  /** CPU so far of the worker and of what is behind it, in milliseconds. */
  cpu(): { readonly edge: number; readonly node: number };
  /** Lets it run while something is done. */
  awake<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** All sides, and what they have in common. */
export interface Sides {
  readonly driver: string;
  readonly origin: Process;
  /** Where requests are written to. */
  readonly file: string;
  readonly of: Readonly<Record<SideName, Side>>;
  readonly peers: readonly Peer[];
  stop(): Promise<void>;
}

/** Starts the relay, the bridge, both workers and the target. */
export async function startSides(dir: string): Promise<Sides> {
  const host = "127.0.0.1";
  const driver = await streamDriver();
  const file = join(dir, "requests");
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => {
    for (const one of started.toReversed()) await one.stop();
  };
  try {
    const origin = await startOrigin({ host, http: await freePort(), tcp: await freePort() });
    started.push(origin.process);
    const target = `tcp://${host}:${origin.tcp}`;
    const relay = await StreamsRelay.start(join(dir, "relay"), [target]);
    started.push({
      stop: () => {
        relay.thaw();
        return relay.stop();
      },
    });
    const { cert, key, ca } = relay.stack.keys;
    const at = async (name: string) => ({
      dir: join(dir, name),
      host,
      port: await freePort(),
      core: CORES.measured,
    });
    const bridge = await startWsBridge(await at("bridge"), { cert, key }, { host, port: origin.tcp });
    started.push(bridge.process);
    const pass = await startPassThrough(await at("pass"), `https://localhost:${bridge.port}`, ca);
    started.push(pass.process);

    const side = (parts: Omit<Side, "awake">, those: { freeze(): void; thaw(): void }[]): Side => {
      for (const one of those) one.freeze();
      return {
        ...parts,
        awake: async (work) => {
          for (const one of those) one.thaw();
          try {
            await untilOpens(driver, file, parts);
            return await work();
          } finally {
            for (const one of those) one.freeze();
          }
        },
      };
    };
    const holdfast = (mode: Mode, way: "edge" | "direct") =>
      side(
        {
          mode,
          place: way === "edge" ? relay.edge : relay.node,
          requests: (to, count) => relay.requests(to, count, target, mode, way),
          cpu: () => relay.cpu(),
        },
        [relay],
      );
    const bare = (place: Place) =>
      side(
        {
          mode: "raw",
          place,
          requests: async (to, count) => {
            writeFileSync(to, packed(Array<string>(count).fill(upgrade(place, "/"))));
          },
          cpu: () => ({ edge: pass.process.cpuMs, node: bridge.process.cpuMs }),
        },
        [pass.process, bridge.process],
      );
    const of = {
      bridge: bare({ host, port: pass.port, isTls: false }),
      "edge v1": holdfast("v1", "edge"),
      "edge raw": holdfast("raw", "edge"),
      "bridge alone": bare({ host, port: bridge.port, isTls: true }),
      "direct v1": holdfast("v1", "direct"),
      "direct raw": holdfast("raw", "direct"),
    };
    const peers = [bridge, pass].map(({ name, version, config = "" }) => ({ name, version, config }));
    return { driver, origin: origin.process, file, of, peers, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A node that stood still takes streams again once it has proven its address anew. */
async function untilOpens(driver: string, file: string, side: Omit<Side, "awake">): Promise<void> {
  for (const until = Date.now() + WAKE_MS; ; await sleep(WAKE_POLL_MS)) {
    try {
      await side.requests(file, 1);
      await drive(driver, side.place, { mode: side.mode, file, direction: "down", bytes: 1 });
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}
