import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { authority, EGRESS, POOL } from "./support/hosts.ts";
import {
  AFTER_FIN_BYTES,
  BULK_BYTES,
  BULK_DEADLINE_MS,
  PAUSED_BYTES,
  PAUSED_BYTES_MAX,
  PAUSED_GROWTH_MAX_BYTES,
  PROGRAM_DEADLINE_MS,
  PROGRAM_PAUSE_MS,
  SERVER_PAUSE_MS,
} from "./support/limits.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { residentBytes } from "../support/process.ts";
import { Program } from "./support/program.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";

/** Much of everything: bytes each way, half-closed ways, readers that stand still. */

const CLIENT = [process.execPath, resolve(import.meta.dirname, "programs/peer-client.ts"), authority("peer")];

let stack: TunnelStack;
let peer: Peer;
const programs: Program[] = [];

beforeAll(async () => {
  // One node: what it holds is measured.
  [stack, peer] = await Promise.all([startTunnel(POOL.slice(0, 1)), startPeer()]);
});

afterEach(() => Promise.all(programs.splice(0).map((program) => program.stop())));
afterAll(() => stack.stop(peer));

function start(...args: readonly string[]): Program {
  const program = new Program(stack, ["--to", authority("peer")], [...CLIENT, ...args]);
  programs.push(program);
  return program;
}

/** What the program tells of itself. */
interface Told {
  readonly received?: number;
  readonly hash: string;
  readonly word?: string;
  readonly after?: string;
}

function told(match: RegExpExecArray): Told {
  return JSON.parse(match[0]) as Told;
}

/** What each process on the way holds. */
function memory(program: Program): Readonly<Record<"agent" | "edge" | "node", number>> {
  return {
    agent: residentBytes(program.pid),
    edge: residentBytes(stack.relay.edge.pid),
    node: residentBytes(stack.relay.nodes.get(POOL[0]!.id)!.pid),
  };
}

function growth(after: ReturnType<typeof memory>, before: ReturnType<typeof memory>): Record<string, number> {
  return Object.fromEntries(
    (["agent", "edge", "node"] as const).map((part) => [part, after[part] - before[part]]),
  );
}

function rate(bytes: number, began: number): string {
  const seconds = (performance.now() - began) / 1_000;
  return `${(bytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s, ${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
}

test(
  "1 GB to the server, and its word of it after the FIN",
  { timeout: BULK_DEADLINE_MS + 10_000 },
  async () => {
    const began = performance.now();
    const program = start("give", "up", String(BULK_BYTES));
    const { hash, word } = told(await program.says(/^\{"sent".*\}$/m, BULK_DEADLINE_MS));
    console.log(`to the server: ${rate(BULK_BYTES, began)}`);
    expect(word).toBe(`${BULK_BYTES} ${hash}`);
    const seen = await peer.seen("up", PROGRAM_DEADLINE_MS, ({ closed }) => closed);
    expect(seen).toMatchObject({ received: BULK_BYTES, finished: true });
    expect(seen).not.toHaveProperty("error");
    expect(EGRESS).toContain(seen.from);
  },
);

test(
  "1 GB from the server, and more to it after its FIN",
  { timeout: BULK_DEADLINE_MS + 10_000 },
  async () => {
    const began = performance.now();
    const program = start("take", "down", String(BULK_BYTES), String(AFTER_FIN_BYTES));
    const got = told(await program.says(/^\{"received".*\}$/m, BULK_DEADLINE_MS));
    console.log(`from the server: ${rate(BULK_BYTES, began)}`);
    const seen = await peer.seen("down", PROGRAM_DEADLINE_MS, ({ closed }) => closed);
    expect(got.received).toBe(BULK_BYTES);
    expect(got.hash).toBe(seen.sentHash);
    expect(seen).toMatchObject({ received: AFTER_FIN_BYTES, receivedHash: got.after, finished: true });
    expect(seen).not.toHaveProperty("error");
  },
);

test(
  "a program that stops reading stops the server, and costs no memory",
  { timeout: BULK_DEADLINE_MS },
  async () => {
    const program = start("pause", "paused", String(PAUSED_BYTES));
    await program.says(/^\{"paused"/m, PROGRAM_DEADLINE_MS);
    const before = memory(program);
    await sleep(PROGRAM_PAUSE_MS);
    const early = await peer.seen("paused", PROGRAM_DEADLINE_MS);
    await sleep(1_000);
    const late = await peer.seen("paused", PROGRAM_DEADLINE_MS);
    const grown = growth(memory(program), before);
    console.log(
      `${late.sent} bytes on their way to a reader that stands still; memory grew by ${JSON.stringify(grown)}`,
    );
    expect(late.sent).toBe(early.sent);
    expect(late.sent).toBeLessThan(PAUSED_BYTES_MAX);
    for (const [part, bytes] of Object.entries(grown)) {
      expect(bytes, part).toBeLessThan(PAUSED_GROWTH_MAX_BYTES);
    }
    await program.write("go\n");
    const got = told(await program.says(/^\{"received".*\}$/m, BULK_DEADLINE_MS));
    const seen = await peer.seen("paused", PROGRAM_DEADLINE_MS, ({ closed }) => closed);
    expect(got).toEqual({ received: PAUSED_BYTES, hash: seen.sentHash });
  },
);

test(
  "a server that stops reading stops the program, and costs no memory",
  { timeout: BULK_DEADLINE_MS },
  async () => {
    const program = start("pour", "stalled", String(PAUSED_BYTES));
    await program.says(/^\{"written"/m, PROGRAM_DEADLINE_MS);
    const before = memory(program);
    await sleep(SERVER_PAUSE_MS);
    const lines = program.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { written: number });
    const [early, late] = [lines.at(-3)!.written, lines.at(-1)!.written];
    const grown = growth(memory(program), before);
    console.log(
      `${late} bytes on their way to a server that stands still; memory grew by ${JSON.stringify(grown)}`,
    );
    expect(late).toBe(early);
    expect(late).toBeLessThan(PAUSED_BYTES_MAX);
    for (const [part, bytes] of Object.entries(grown)) {
      expect(bytes, part).toBeLessThan(PAUSED_GROWTH_MAX_BYTES);
    }
    await peer.go("stalled");
    const got = told(await program.says(/^\{"sent".*\}$/m, BULK_DEADLINE_MS));
    expect(got.word).toBe(`${PAUSED_BYTES} ${got.hash}`);
  },
);
