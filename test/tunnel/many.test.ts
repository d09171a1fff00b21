import { resolve } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { authority, POOL } from "./support/hosts.ts";
import {
  BULK_DEADLINE_MS,
  IDLE_AT_ONCE,
  IDLE_STREAM_MAX_BYTES,
  IDLE_STREAMS,
  PROGRAM_DEADLINE_MS,
  ROUND_STREAMS,
  ROUNDS,
} from "./support/limits.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { openFiles, residentBytes } from "../support/process.ts";
import { Program } from "./support/program.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";
import { until } from "./support/until.ts";

/** Many streams on one node. */

const CLIENT = [process.execPath, resolve(import.meta.dirname, "programs/peer-client.ts"), authority("peer")];

/** Slots that the rounds leak are missed by the idle streams, which come after them. */
const LIMITS = { streams: IDLE_STREAMS + ROUND_STREAMS / 2, requestsPerSecond: IDLE_STREAMS };

let stack: TunnelStack;
let peer: Peer;
const programs: Program[] = [];

beforeAll(async () => {
  [stack, peer] = await Promise.all([startTunnel(POOL.slice(0, 1), { limits: LIMITS }), startPeer()]);
});

afterEach(() => Promise.all(programs.splice(0).map((program) => program.stop())));
afterAll(() => stack.stop(peer));

function start(...args: readonly string[]): Program {
  const program = new Program(stack, ["--to", authority("peer")], [...CLIENT, ...args]);
  programs.push(program);
  return program;
}

function nodePid(): number {
  return stack.relay.nodes.get(POOL[0]!.id)!.pid;
}

test(
  `${ROUND_STREAMS} opened and closed at once, ${ROUNDS} times`,
  { timeout: BULK_DEADLINE_MS },
  async () => {
    const before = { node: openFiles(nodePid()), edge: openFiles(stack.relay.edge.pid) };
    const began = performance.now();
    const program = start("rounds", String(ROUND_STREAMS), String(ROUNDS));
    expect(await program.ended(BULK_DEADLINE_MS), program.stderr).toEqual({ code: 0 });
    const streams = ROUND_STREAMS * ROUNDS;
    console.log(
      `${streams} streams opened and closed, ${ROUND_STREAMS} at once: ${((performance.now() - began) / 1_000).toFixed(1)} s`,
    );
    expect(program.stdout.trim().split("\n").length).toBe(ROUNDS);
    await until(
      "the peer's connections are closed",
      PROGRAM_DEADLINE_MS,
      async () => (await peer.open()) === 0,
    );
    // The edge keeps a few connections to the node for the next one.
    const few = 20;
    await until(
      "the node's sockets are closed",
      PROGRAM_DEADLINE_MS,
      () => openFiles(nodePid()) <= before.node + few,
    );
    await until(
      "the edge's sockets are closed",
      PROGRAM_DEADLINE_MS,
      () => openFiles(stack.relay.edge.pid) <= before.edge + few,
    );
  },
);

test(`${IDLE_STREAMS} idle streams on one node`, { timeout: BULK_DEADLINE_MS }, async () => {
  const parts = { node: nodePid(), edge: stack.relay.edge.pid };
  const before = { node: residentBytes(parts.node), edge: residentBytes(parts.edge) };
  const began = performance.now();
  const program = start("hold", String(IDLE_STREAMS), String(IDLE_AT_ONCE));
  await program.says(/^\{"held":\d+\}$/m, BULK_DEADLINE_MS);
  const seconds = (performance.now() - began) / 1_000;
  expect(await peer.open()).toBe(IDLE_STREAMS);
  const each = (part: "node" | "edge") => (residentBytes(parts[part]) - before[part]) / IDLE_STREAMS;
  console.log(
    `${IDLE_STREAMS} idle streams, opened in ${seconds.toFixed(1)} s: ` +
      `${(each("node") / 1e3).toFixed(1)} kB each at the node (${(residentBytes(parts.node) / 1e6).toFixed(0)} MB in all), ` +
      `${(each("edge") / 1e3).toFixed(1)} kB at the edge`,
  );
  expect(each("node")).toBeLessThan(IDLE_STREAM_MAX_BYTES);
  await program.write("go\n");
  await program.says(/^\{"released":\d+\}$/m, PROGRAM_DEADLINE_MS);
  expect(await program.ended(PROGRAM_DEADLINE_MS)).toEqual({ code: 0 });
  await until(
    "the peer's connections are closed",
    PROGRAM_DEADLINE_MS,
    async () => (await peer.open()) === 0,
  );
});
