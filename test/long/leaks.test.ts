import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createRelay, type Relay } from "../../client/index.ts";
import { seeded } from "../chaos/random.ts";
import type { Holdings } from "../support/leak-probe.ts";
import { freePort, testStack } from "../support/stack.ts";

/** Whatever becomes of requests, a node that is at rest again holds what it held before them. */

const REQUESTS = 10_000;
const ABORTED_PART = 0.1;
/** Code is compiled, pools and histograms are made. */
const WARM_UP = 1_500;
const AT_ONCE = 32;
/** Warm connections rest for 55 s, the edge's to the node for 120 s at most: at rest is who has closed them. */
const REST_DEADLINE_MS = 170_000;
const LOOK_EVERY_MS = 2_000;

/**
 * A node remembers each request's id for as long as its token could be used again: some 100 bytes each, and room for as
 * much again as a set grows by doubling.
 */
const ID_BYTES = 200;
/** What V8 itself comes and goes by between two full collections. A leak of one part in ten, 5 kB each, would be 5 MB. */
const NOISE_BYTES = 1_000_000;
/** Files and sockets that come and go by themselves: a certificate being looked at, a connection of the edge's probe. */
const NOISE_FILES = 3;

let stack: Awaited<ReturnType<typeof testStack>>;
let target: Server;
let relay: Relay;
let origin: string;
let metricsPort: number;
const random = seeded(1);
const piece = new Uint8Array(16_384);

beforeAll(async () => {
  metricsPort = await freePort();
  const port = await freePort();
  stack = await testStack({
    nodes: [{ id: "node-1", port, egress: "127.0.0.2" }],
    nodeFlags: ["--import", resolve(import.meta.dirname, "../support/leak-probe.ts")],
    nodeConfig: { metrics: { host: "127.0.0.1", port: metricsPort } },
  });
  target = createServer({ cert: stack.keys.cert, key: stack.keys.key }, (request, response) => {
    const url = new URL(request.url!, "https://localhost");
    const [delay, bytes] = ["delay", "bytes"].map((name) => Number(url.searchParams.get(name)));
    request.on("error", () => {}).resume();
    request.once("end", () => {
      setTimeout(() => {
        if (url.pathname === "/cut") request.socket.destroy();
        else response.end(Buffer.alloc(bytes!));
      }, delay);
    });
  });
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  origin = `https://localhost:${(target.address() as AddressInfo).port}`;
  await stack.allow([origin, `https://localhost:${await freePort()}`]);
  relay = createRelay(stack.relayUrl);
});

afterAll(async () => {
  await stack.stop();
  target.close();
  target.closeAllConnections();
});

/** A body that comes in pieces, with a pause after each. */
function slowBody(pieces: number): ReadableStream<Uint8Array> {
  let left = pieces;
  return new ReadableStream({
    async pull(controller) {
      await sleep(2);
      if (left-- > 0) controller.enqueue(piece);
      else controller.close();
    },
  });
}

/** One request of any kind to its end, whatever that is. */
async function whole(): Promise<void> {
  const kind = random();
  const call = (path: string, init?: RequestInit) => relay.fetch(`${origin}${path}`, init);
  const upload = { method: "POST", body: slowBody(3), duplex: "half" } as RequestInit;
  let response: Response;
  if (kind < 0.4) response = await call("/?bytes=100");
  else if (kind < 0.7) response = await call("/?bytes=100", { method: "POST", body: "small" });
  else if (kind < 0.8) response = await call("/?bytes=200000");
  else if (kind < 0.95) response = await call("/", upload);
  else response = await call("/cut", kind < 0.975 ? {} : { method: "POST", body: "small" });
  await response.arrayBuffer();
}

/** One request that is given up: before the answer's head, in its body, or in its own. */
async function aborted(): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const kind = random();
  if (kind < 0.4) {
    setTimeout(() => controller.abort(), random() * 40);
    await relay.fetch(`${origin}/?delay=60&bytes=10`, { signal });
  } else if (kind < 0.7) {
    const response = await relay.fetch(`${origin}/?bytes=2000000`, { signal });
    const reader = response.body!.getReader();
    await reader.read();
    if (random() < 0.5) controller.abort();
    else await reader.cancel();
  } else {
    setTimeout(() => controller.abort(), random() * 40);
    await relay.fetch(origin, { method: "POST", body: slowBody(30), duplex: "half", signal } as RequestInit);
  }
}

/** Makes this many requests, some at once; says how many came to their end and how many did not. */
async function load(count: number): Promise<{ ended: number; failed: number }> {
  let left = count;
  const result = { ended: 0, failed: 0 };
  const line = async () => {
    while (left-- > 0) {
      await (random() < ABORTED_PART ? aborted() : whole()).then(
        () => result.ended++,
        () => result.failed++,
      );
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, line));
  return result;
}

/** What node and edge hold. */
interface Held extends Holdings {
  readonly files: Readonly<Record<"node" | "edge", number>>;
  /** The node's own gauges: requests under way, connections to targets, slots. */
  readonly gauges: Readonly<Record<string, number>>;
}

async function held(): Promise<Held> {
  const node = stack.process("node-1");
  const files = (id: string) => readdirSync(`/proc/${stack.process(id).pid}/fd`).length;
  const text = await (
    await fetch(`http://127.0.0.1:${metricsPort}/metrics`, { headers: { Connection: "close" } })
  ).text();
  const gauges = Object.fromEntries(
    Array.from(text.matchAll(/^# TYPE (holdfast_\w+) gauge\n\1\S* (\S+)/gm), ([, name, value]) => [
      name!,
      Number(value),
    ]),
  );
  const told = once(node, "message");
  node.kill("SIGUSR2");
  const [holdings] = (await told) as [Holdings];
  return { ...holdings, gauges, files: { node: files("node-1"), edge: files("edge") } };
}

/** What is more than before, by name; empty where all is back. */
function leftOver(before: Held, after: Held): string[] {
  const more: string[] = [];
  const compare = (what: string, was: number, is: number, tolerance: number) => {
    if (is > was + tolerance) more.push(`${what}: ${was} before, ${is} after`);
  };
  for (const [name, value] of Object.entries(after.gauges)) {
    compare(name, before.gauges[name] ?? 0, value, 0);
  }
  compare("FetchDoor", before.objects["FetchDoor"]!, after.objects["FetchDoor"]!, 0);
  compare("Exchange", before.objects["Exchange"]!, after.objects["Exchange"]!, 0);
  for (const name of ["IncomingMessage", "TLSSocket"]) {
    compare(name, before.objects[name]!, after.objects[name]!, NOISE_FILES);
  }
  for (const [kind, count] of Object.entries(after.resources)) {
    compare(kind, before.resources[kind] ?? 0, count, NOISE_FILES);
  }
  compare("open files, node", before.files.node, after.files.node, NOISE_FILES);
  compare("open files, edge", before.files.edge, after.files.edge, NOISE_FILES);
  compare("heap bytes", before.heapBytes, after.heapBytes, REQUESTS * ID_BYTES + NOISE_BYTES);
  return more;
}

/** Waits until nothing is under way and warm connections have been closed. */
async function atRest(isAtRest: (now: Held) => boolean): Promise<Held> {
  const until = Date.now() + REST_DEADLINE_MS;
  for (;;) {
    const now = await held();
    if (isAtRest(now) || Date.now() > until) return now;
    await sleep(LOOK_EVERY_MS);
  }
}

/** Nothing is under way, and what was kept open for the next request is closed, on both sides of the node. */
function isIdle({ gauges, resources }: Held): boolean {
  return (
    gauges["holdfast_requests_active"] === 0 &&
    gauges["holdfast_target_connections"] === 0 &&
    (resources["TCPSocketWrap"] ?? 0) <= NOISE_FILES
  );
}

test(`${REQUESTS} requests, one in ten given up at some point`, async () => {
  await load(WARM_UP);
  const before = await atRest(isIdle);
  const busy = load(REQUESTS);
  await sleep(3_000);
  const during = await held();
  const result = await busy;
  const after = await atRest((now) => isIdle(now) && leftOver(before, now).length === 0);
  console.log(
    `leaks: requests=${REQUESTS} ended=${result.ended} failed=${result.failed} heap_before_mb=${(before.heapBytes / 1e6).toFixed(1)} heap_after_mb=${(after.heapBytes / 1e6).toFixed(1)} files_node=${before.files.node}/${after.files.node} files_edge=${before.files.edge}/${after.files.edge} timers=${before.resources["Timeout"] ?? 0}/${after.resources["Timeout"] ?? 0} doors=${after.objects["FetchDoor"]}`,
  );
  // The looking glass works: under load there is more than at rest.
  expect(leftOver(before, during)).not.toEqual([]);
  expect(isIdle(before)).toBe(true);
  expect(leftOver(before, after)).toEqual([]);
  expect(result.ended).toBeGreaterThan(REQUESTS * 0.8);
}, 900_000);
