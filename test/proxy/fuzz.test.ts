import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ModuleOnHost, startModule } from "../support/module-on-host.ts";
import { eventually, logLines } from "../support/node-log.ts";
import { openFiles, residentBytes } from "../support/process.ts";
import { CLIENTS, get, userUrl } from "./support/clients.ts";
import { HOSTS, OTHER_CLIENTS, POOL, PROXY_NAMES, PROXY_PORTS, TARGETS, WIRE } from "./support/hosts.ts";
import {
  FUZZ_MS,
  GROWTH_BYTES,
  HALF_OPEN,
  OWN_LINES,
  PEAK_BYTES,
  POLL_MS,
  SERVED_MS,
  SETTLED_MS,
  STRANGERS,
  TRICKLE_MS,
  TRICKLED_MS,
  TRICKLING,
} from "./support/limits.ts";
import { metricsOf } from "./support/metrics.ts";
import { type ProxyScheme, type ProxyStack, type ProxyUser, startProxyStack } from "./support/stack.ts";
import type { Mischief, StrangerPlan } from "./support/strangers.ts";

/** What strangers do at one node's door, while a user is served by it. */

const NODE = POOL[0]!;
const SEED = Number(process.env["HOLDFAST_FUZZ_SEED"] ?? Date.now() % 1_000_000);

let stack: ProxyStack;
let strangers: ModuleOnHost;
let other: ProxyUser;
let before: Awaited<ReturnType<typeof look>>;

beforeAll(async () => {
  console.log(`HOLDFAST_FUZZ_SEED=${SEED}`);
  stack = await startProxyStack();
  other = await stack.admit();
  const plan: StrangerPlan = {
    door: HOSTS["egress-1"],
    ports: PROXY_PORTS,
    from: OTHER_CLIENTS,
    seed: SEED,
    requests: validRequests(),
  };
  // Each of them is a file of theirs.
  const limit = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))![1];
  expect(Number(limit), "ulimit -n").toBeGreaterThan(HALF_OPEN + 1_000);
  strangers = await startModule(WIRE, "client", resolve(import.meta.dirname, "support/strangers.ts"), [
    JSON.stringify(plan),
  ]);
  for (const scheme of SCHEMES) await served(scheme);
  before = await look();
});

afterAll(async () => {
  await strangers?.stop();
  await stack?.stop();
});

/** Requests of an unknown user, and one of a user's, which a change or two may leave as they are. */
function validRequests(): StrangerPlan["requests"] {
  const basic = (password: string) =>
    `Proxy-Authorization: Basic ${Buffer.from(`app:${password}`).toString("base64")}`;
  const { api } = TARGETS;
  const lines = (...head: readonly string[]) => `${head.join("\r\n")}\r\n\r\n`;
  const unknown = `hf_${"A".repeat(32)}`;
  const socks = (password: string) =>
    [
      "\x05\x01\x02",
      `\x01\x03app${String.fromCharCode(password.length)}${password}`,
      `\x05\x01\x00\x03${String.fromCharCode(api.length)}${api}\x01\xbb`,
    ].join("");
  return {
    http: [
      lines(`CONNECT ${api}:443 HTTP/1.1`, `Host: ${api}:443`, basic(unknown)),
      lines(`CONNECT ${api}:443 HTTP/1.1`, `Host: ${api}:443`),
      lines(`GET http://${api}/ HTTP/1.1`, `Host: ${api}`, basic(unknown), "Accept: */*"),
      `${lines(`POST http://${api}/hash HTTP/1.1`, `Host: ${api}`, basic(unknown), "Content-Length: 5")}hello`,
      lines(`GET / HTTP/1.1`, `Host: ${api}`),
      lines(`GET http://${api}/ HTTP/1.1`, `Host: ${api}`, basic(other.handle)),
    ],
    socks5: [socks(unknown), socks(unknown), socks(unknown), socks(other.handle)],
  };
}

const SCHEMES = ["https", "http", "socks5h"] as const;
const curl = CLIENTS.find(({ name }) => name === "curl")!;

/** One request of a user's, who comes anew each time; resolves with how long it took. */
async function served(scheme: ProxyScheme): Promise<number> {
  const began = performance.now();
  const ran = await get(stack, curl, userUrl(stack, scheme, PROXY_NAMES[0]), `https://${TARGETS.api}/`);
  expect(ran.code, ran.stderr).toBe(0);
  return performance.now() - began;
}

/** Has strangers do something while the user goes on; resolves with what they tell. */
async function meanwhile<Told extends readonly unknown[]>(
  ...all: { readonly [I in keyof Told]: Mischief }
): Promise<Told> {
  const over = new AbortController();
  const done = Promise.all(all.map((mischief) => strangers.ask(mischief))).finally(() => over.abort());
  const times: number[] = [];
  while (!over.signal.aborted) for (const scheme of SCHEMES) times.push(await served(scheme));
  const longest = Math.max(...times);
  console.log(`a user's ${times.length} requests meanwhile: at most ${longest.toFixed(0)} ms`);
  expect(longest).toBeLessThan(SERVED_MS);
  return (await done) as unknown as Told;
}

/** What strangers might use up. */
async function look() {
  const { pid } = stack.relay.nodes.get(NODE.id)!;
  const metrics = await metricsOf(NODE.id);
  const gauge = (name: string) => metrics.get(`holdfast_${name}`) ?? 0;
  return {
    pid,
    bytes: residentBytes(pid),
    files: openFiles(pid),
    time: Date.now(),
    busy: gauge("requests_active") + gauge("client_slots") + gauge("streams_open"),
  };
}

/** Waits until the node's sockets and slots are back at their level. */
async function settled(): Promise<typeof before> {
  let after = await look();
  await eventually(
    async () => {
      await sleep(POLL_MS);
      after = await look();
      return after.files <= before.files + 20 && after.busy === before.busy;
    },
    "the node's sockets and slots are back at their level",
    SETTLED_MS,
  ).catch((cause: unknown) => {
    throw new Error(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`, { cause });
  });
  return after;
}

test("random bytes, changed requests and requests that trickle in", async () => {
  const [random, mutated, trickled] = await meanwhile<[number, number, { out: number; longestMs: number }]>(
    { what: "random", ms: FUZZ_MS, atOnce: STRANGERS },
    { what: "mutated", ms: FUZZ_MS, atOnce: STRANGERS },
    { what: "trickle", count: TRICKLING, everyMs: TRICKLE_MS, ms: TRICKLED_MS },
  );
  console.log(
    `${random} connections with random bytes, ${mutated} with changed requests; ` +
      `${trickled.out} that trickled were out after at most ${(trickled.longestMs / 1_000).toFixed(1)} s`,
  );
  expect(Math.min(random, mutated)).toBeGreaterThan(100);
  expect(trickled.out).toBe(TRICKLING);
});

/** What the node's memory came to, each time that as many strangers as it takes were gone. */
const left: number[] = [];

test.for([1, 2, 3, 4])(
  `${HALF_OPEN} sockets that say nothing, or half a word, for the time number %i`,
  async () => {
    const [opened] = await meanwhile<[number]>({ what: "hold", count: HALF_OPEN, atOnce: 200 });
    expect(opened).toBe(HALF_OPEN);
    for (const scheme of SCHEMES) await served(scheme);
    await strangers.ask({ what: "release" });
    left.push((await settled()).bytes);
  },
);

test("afterwards nothing of it is left", async () => {
  const after = await settled();
  const megabytes = [before.bytes, ...left].map((bytes) => (bytes / 1e6).toFixed(0));
  console.log(`the node's memory before, and after each time: ${megabytes.join(", ")} MB`);
  expect(after.pid).toBe(before.pid);
  // What an allocator was given once it keeps, and where a collection comes in says by how much one time differs from the next;
  // what leaks grows with each time.
  const [first, second, third, fourth] = left;
  expect(Math.min(third!, fourth!)).toBeLessThan(Math.max(first!, second!) + GROWTH_BYTES);
  expect(after.bytes).toBeLessThan(before.bytes + PEAK_BYTES);
});

test("the log holds no credential, and strangers have not filled it", async () => {
  const { logFile } = stack.relay.nodes.get(NODE.id)!;
  const log = readFileSync(logFile, "utf8");
  for (const { handle, token } of [stack.user, other]) {
    for (const secret of [handle, token, Buffer.from(`app:${handle}`).toString("base64")]) {
      expect(log.includes(secret)).toBe(false);
    }
  }
  expect(log.includes("A".repeat(32))).toBe(false);
  // Whoever is refused as a stranger is counted, not written down.
  const since = logLines(logFile).filter(({ time }) => (time as number) > before.time);
  const ofStrangers = since.filter(({ client }) => client !== stack.user.client);
  expect(since.length).toBeGreaterThan(ofStrangers.length);
  expect(ofStrangers.length, JSON.stringify(ofStrangers[0])).toBeLessThan(OWN_LINES);
});
