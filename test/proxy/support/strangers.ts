import { connect as tcpConnect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as tlsConnect } from "node:tls";
import { seeded } from "../../chaos/random.ts";
import { answerQuestions } from "../../support/conversation.ts";

/**
 * Runs by `startModule`: those who knock at the door without being its users, from several addresses. Argument: a plan, as JSON.
 */

/** Where they knock, and as whom. */
export interface StrangerPlan {
  readonly door: string;
  readonly ports: { readonly https: number; readonly http: number; readonly socks5: number };
  /** Addresses of their host's. */
  readonly from: readonly string[];
  readonly seed: number;
  /** Valid requests, as Latin-1 text, by the port that they are for. */
  readonly requests: Readonly<Record<"http" | "socks5", readonly string[]>>;
}

/** What they can be asked to do. */
export type Mischief =
  /** Random bytes, or requests with something changed, for a time; tells how many connections. */
  | { readonly what: "random" | "mutated"; readonly ms: number; readonly atOnce: number }
  /** One byte after the other; tells how many were thrown out in time, and the longest time. */
  | { readonly what: "trickle"; readonly count: number; readonly everyMs: number; readonly ms: number }
  /** Connections that say little or nothing and stay; tells how many came about. */
  | { readonly what: "hold"; readonly count: number; readonly atOnce: number }
  | { readonly what: "release" };

const plan = JSON.parse(process.argv[2]!) as StrangerPlan;
const random = seeded(plan.seed);
const below = (count: number) => Math.floor(random() * count);
const one = <T>(items: readonly T[]): T => items[below(items.length)]!;
const KINDS = ["https", "http", "socks5"] as const;
type Kind = (typeof KINDS)[number];
const held = new Set<Socket>();
let turn = 0;

/** Opens a connection from the next address in turn; undefined: it did not come about. */
async function knock(kind: Kind, secure = false): Promise<Socket | undefined> {
  const localAddress = plan.from[turn++ % plan.from.length]!;
  const socket = tcpConnect({ host: plan.door, port: plan.ports[kind], localAddress });
  if (!(await opened(socket, "connect"))) return undefined;
  if (!secure) return socket;
  const inside = tlsConnect({ socket, rejectUnauthorized: false });
  return (await opened(inside, "secureConnect")) ? inside : undefined;
}

function opened(socket: Socket, event: string): Promise<boolean> {
  return new Promise((done) => {
    socket.on("error", () => done(false));
    socket.once("close", () => done(false));
    socket.once(event, () => done(true));
  });
}

function randomBytes(): Buffer {
  return Buffer.from(Array.from({ length: 1 + below(2_000) }, () => below(256)));
}

/** A valid request with one to four things changed. */
function mutated(kind: Kind): Buffer {
  let bytes = Buffer.from(one(plan.requests[kind === "socks5" ? "socks5" : "http"]), "latin1");
  for (let changes = 1 + below(4); changes > 0; changes--) {
    const at = below(bytes.length);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    const change = below(5);
    if (change === 0) bytes = Buffer.concat([before, Buffer.from([below(256)]), after.subarray(1)]);
    else if (change === 1) bytes = Buffer.concat([before, after.subarray(1 + below(8))]);
    else if (change === 2) bytes = Buffer.concat([before, one(ODDITIES), after]);
    else if (change === 3) bytes = Buffer.concat([before, after.subarray(0, below(40)), after]);
    else bytes = before;
  }
  return bytes;
}

/** What parsers differ over. */
const ODDITIES = [
  "\n",
  "\r",
  "\0",
  "\r\n ",
  "\r\nHost: elsewhere.example.test\r\n",
  "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
  "\r\n\r\n",
  "@",
  "%00",
  ":0",
  ":65536",
  "0x7f.1",
  "a".repeat(70_000),
  "\xff\xfe",
].map((text) => Buffer.from(text, "latin1"));

/** Sends something, waits a little for whatever it brings about, and goes. */
async function send(make: (kind: Kind) => Buffer): Promise<void> {
  const kind = one(KINDS);
  const socket = await knock(kind, kind === "https" && random() < 0.7);
  if (socket === undefined) return;
  const closed = new Promise<void>((done) => socket.once("close", () => done()));
  socket.resume();
  socket.write(make(kind));
  if (random() < 0.5) socket.end();
  await Promise.race([closed, sleep(below(200))]);
  if (kind === "https" || random() < 0.5) socket.destroy();
  else socket.resetAndDestroy();
}

async function many(ms: number, atOnce: number, make: (kind: Kind) => Buffer): Promise<number> {
  const end = performance.now() + ms;
  let connections = 0;
  const loop = async () => {
    while (performance.now() < end) {
      connections++;
      await send(make);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
  return connections;
}

/** Sends a request byte by byte until it is thrown out; tells after how long, or undefined. */
async function trickle(index: number, everyMs: number, ms: number): Promise<number | undefined> {
  const kind = KINDS[index % KINDS.length]!;
  const socket = await knock(kind, kind === "https" && index % 2 === 0);
  if (socket === undefined) return undefined;
  const began = performance.now();
  const field = `CONNECT api.example.test:443 HTTP/1.1\r\nHost: api.example.test:443\r\nX-Slow: ${"a".repeat(60_000)}`;
  const bytes = kind === "socks5" ? Buffer.from([5, 200, ...Array<number>(200).fill(0)]) : Buffer.from(field);
  let at = 0;
  const timer = setInterval(() => socket.write(bytes.subarray(at, ++at)), everyMs);
  socket.resume();
  const closed = new Promise<boolean>((done) => socket.once("close", () => done(true)));
  const isOut = await Promise.race([closed, sleep(ms).then(() => false)]);
  clearInterval(timer);
  socket.destroy();
  return isOut ? performance.now() - began : undefined;
}

/** Says nothing, or a request's beginning, and stays. */
async function hold(index: number): Promise<boolean> {
  const kind = KINDS[index % KINDS.length]!;
  const socket = await knock(kind);
  if (socket === undefined) return false;
  held.add(socket);
  socket.once("close", () => held.delete(socket));
  socket.resume();
  // A ClientHello's first bytes, a head's, a greeting's.
  const beginnings = {
    https: [22, 3, 1, 2, 0, 1],
    http: [...Buffer.from("CONNECT api.exa")],
    socks5: [5, 1],
  };
  if (index % 2 === 0) socket.write(Buffer.from(beginnings[kind]));
  return true;
}

async function inTurns<T>(count: number, atOnce: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  let next = 0;
  const loop = async () => {
    while (next < count) made.push(await make(next++));
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
  return made;
}

async function answer(mischief: Mischief): Promise<unknown> {
  switch (mischief.what) {
    case "random":
      return many(mischief.ms, mischief.atOnce, randomBytes);
    case "mutated":
      return many(mischief.ms, mischief.atOnce, mutated);
    case "trickle": {
      const { count, everyMs, ms } = mischief;
      const times = await Promise.all(
        Array.from({ length: count }, (_, index) => trickle(index, everyMs, ms)),
      );
      const out = times.filter((time) => time !== undefined);
      return { out: out.length, longestMs: Math.max(0, ...out) };
    }
    case "hold":
      return (await inTurns(mischief.count, mischief.atOnce, hold)).filter(Boolean).length;
    case "release":
      for (const socket of held) socket.destroy();
      return undefined;
  }
}

answerQuestions(answer);
