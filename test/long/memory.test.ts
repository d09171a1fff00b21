import { type ChildProcess, fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testStack } from "../support/stack.ts";

/** A slow reader slows its writer, not the process: what a node holds is bounded however much passes through it. */

const STREAMS = 200;
const BYTES = 50_000_000;
const RSS_MAX_MB = 300;

let stack: Awaited<ReturnType<typeof testStack>>;
let origin: ChildProcess;
let target: string;

const next = <T>(child: ChildProcess): Promise<T> =>
  new Promise((done, failed) => {
    child.once("message", (message) => done(message as T));
    child.once("exit", (code) => failed(new Error(`ended with ${code} before it said anything`)));
  });

beforeAll(async () => {
  stack = await testStack();
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(stack.dir, name));
  writeFileSync(cert!, stack.keys.cert);
  writeFileSync(key!, stack.keys.key);
  origin = fork(join(import.meta.dirname, "bulk-origin.ts"), [cert!, key!]);
  target = `https://localhost:${await next<number>(origin)}`;
  await stack.allow([target]);
});

afterAll(async () => {
  origin.disconnect();
  await stack.stop();
});

/** The most memory that a process has held so far, in MB. */
function peakMb(child: ChildProcess): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))![1]) / 1_000;
}

/**
 * One round of bulk streams through a node that has just been started, as on any host where it has run before: its compiled
 * code is cached. Returns its peak in MB.
 */
async function round(direction: string, id: string): Promise<number> {
  await stack.restartNode(id);
  const before = peakMb(stack.process(id));
  const started = performance.now();
  const driver = fork(
    join(import.meta.dirname, "bulk-driver.ts"),
    [direction, String(STREAMS), String(BYTES), target, id],
    { env: { ...process.env, HOLDFAST_URL: stack.relayUrl } },
  );
  const result = await next<{ whole: number; failure?: string }>(driver);
  const peak = peakMb(stack.process(id));
  const seconds = (performance.now() - started) / 1_000;
  console.log(
    `memory ${direction}: streams=${STREAMS} bytes_each=${BYTES} rss_before_mb=${before.toFixed(0)} rss_peak_mb=${peak.toFixed(0)} MB_per_s=${((STREAMS * BYTES) / 1e6 / seconds).toFixed(0)}`,
  );
  expect(result).toEqual({ whole: STREAMS });
  return peak;
}

test.each(["down", "up"])(
  `${STREAMS} streams of ${BYTES / 1e6} MB at once %s`,
  async (direction) => {
    const { id } = stack.nodes[direction === "down" ? 0 : 1]!;
    expect(await round(direction, id)).toBeLessThan(RSS_MAX_MB);
  },
  400_000,
);
