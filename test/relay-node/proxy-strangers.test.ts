import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { Registry } from "prom-client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Admission, type AdmissionSizes } from "../../relay-node/proxy/admission.ts";
import type { ListenerBounds } from "../../relay-node/listener.ts";
import { HttpListener } from "../../relay-node/proxy/http-listener.ts";
import type { ProxyContext } from "../../relay-node/proxy/proxy-context.ts";
import { Strangers } from "../../relay-node/proxy/strangers.ts";
import { eventually } from "../support/node-log.ts";
import { openRaw, parseAnswers, rawRequest, readRaw } from "../support/raw-http.ts";
import { connectRequest, type ProxyNode, startProxyNode } from "../support/proxy-node.ts";
import { freePort } from "../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** What anybody on the internet can do to the proxy door without credentials. */

describe("strangers:", () => {
  /**
   * `+a` comes, `a!` is known, `-a` goes, `a>b` goes on as `b`; what is cut by all of it. Those of one letter are one sender's each, which has two; three are
   * there in all.
   */
  const CASES: readonly (readonly [what: string, steps: string, cut: string, left: number])[] = [
    ["as many as may be", "+a +b +c", "", 3],
    ["one more cuts the oldest", "+a +b +c +d", "a", 3],
    ["and so on", "+a +b +c +d +e +f", "a b c", 3],
    ["who is known is none", "+a a! +b +c +d", "", 3],
    ["who is known is never cut", "+a a! +b +c +d +e", "b", 3],
    ["who has gone leaves room", "+a +b +c -b +d", "", 3],
    ["who was cut and goes counts once", "+a +b +c +d -a +e", "a b", 3],
    ["a sender's third one cuts its own oldest", "+a +b1 +b2 +b3", "b1", 3],
    ["and nobody else's, however many come", "+a +b1 +b2 +b3 +b4 +b5", "b1 b2 b3", 3],
    ["who goes on as another is as old", "+a +b +c a>d +e", "d", 3],
    ["and is known as that", "+a a>d d! +b +c +e +f", "b", 3],
    ["and of the same sender", "+a1 +a2 a1>b1 +a3", "b1", 2],
    ["who is known and goes on as another stays known", "+a a! a>d +b +c +e", "", 3],
    ["those of a sender who are known don't count", "+a1 +a2 a1! a2! +a3 +a4", "", 2],
  ];
  test.each(CASES)("%s", async (_what, steps, cut, left) => {
    const strangers = new Strangers({ inAll: 3, perSender: 2 });
    const connections = new Map<string, PassThrough>();
    const gone = new Set<string>();
    for (const step of steps.split(" ")) {
      const name = step.replaceAll(/[+!-]/g, "");
      const [from, to] = step.split(">");
      if (to !== undefined) {
        connections.set(to, new PassThrough());
        strangers.replace(connections.get(from!)!, connections.get(to)!);
      } else if (step.startsWith("+")) {
        // Of one network of 64 bits, each with an address of its own.
        const remoteAddress = `2001:db8:0:${name[0]}::${name.slice(1)}`;
        connections.set(name, Object.assign(new PassThrough(), { remoteAddress }));
        strangers.enter(connections.get(name)!);
      } else if (step.endsWith("!")) strangers.known(connections.get(name)!);
      else {
        gone.add(name);
        connections.get(name)!.destroy();
        await pause(0);
      }
    }
    const isCut = [...connections].filter(
      ([name, { destroyed }]) => destroyed && !(gone.has(name) && !cut.includes(name)),
    );
    expect(isCut.map(([name]) => name).join(" ")).toBe(cut);
    expect(strangers.size).toBe(left);
  });
});

let node: ProxyNode;
let target: TcpTarget;
const listeners: HttpListener[] = [];
const admissions: Admission[] = [];
beforeAll(async () => {
  node = await startProxyNode();
  target = await startTcpTarget((socket) => void socket.pipe(socket));
});
afterAll(async () => {
  for (const listener of listeners) listener.stop();
  for (const admission of admissions) admission.cut();
  await node.stop();
  await target.close();
});

/** A listener beside the node's own, with bounds of the test's. */
async function listen(sizes: AdmissionSizes & Partial<ListenerBounds>): Promise<number> {
  const context = { node: node.relay, log: node.relay.log } as unknown as ProxyContext;
  const admission = new Admission(new Registry(), sizes);
  const port = await freePort();
  admissions.push(admission);
  listeners.push(await HttpListener.start(context, { host: "127.0.0.1", port }, admission, sizes));
  return port;
}

/** A reset is an end like any other. */
const ended = (socket: Socket): Promise<void> =>
  new Promise(
    (done) =>
      void socket
        .on("error", () => {})
        .once("close", () => done())
        .resume(),
  );

const opened = (port: number, count: number): Promise<Socket[]> =>
  Promise.all(Array.from({ length: count }, () => openRaw({ port })));

test("who says nothing for long stays the oldest: a flood is not younger than whoever came after it", async () => {
  const port = await listen({ strangers: 10, strangersPerSender: 10, headMs: 900 });
  const flood = await opened(port, 9);
  // They are HTTP's by then.
  await pause(700);
  const later = await openRaw({ port });
  await opened(port, 3);
  await eventually(
    () => flood.filter(({ destroyed }) => destroyed).length === 3,
    "three of the flood are cut",
  );
  expect(later.destroyed).toBe(false);
  expect(admissions.at(-1)!.size).toBe(10);
});

test("what has said nothing is closed when its listener stops", async () => {
  const port = await listen({});
  const silent = await opened(port, 3);
  await pause(50);
  listeners.at(-1)!.stop();
  await Promise.all(silent.map((socket) => ended(socket)));
  expect(admissions.at(-1)!.size).toBe(0);
});

test("a flood of connections that say nothing locks nobody out", async () => {
  const port = await listen({ strangers: 50, strangersPerSender: 50 });
  const flood = await opened(port, 200);
  const answering = openRaw({ port }).then((socket) => {
    const reading = readRaw(socket);
    socket.write(rawRequest("GET /", ["Host: x"]));
    return reading;
  });
  expect(parseAnswers(await answering)[0]?.status).toBe(400);
  await eventually(() => flood.filter(({ destroyed }) => destroyed).length >= 150, "the oldest are cut");
  expect(flood.at(-1)!.destroyed).toBe(false);
  for (const socket of flood) socket.destroy();
});

test("one address has so many connections, and all together", async () => {
  const port = await listen({ perAddress: 5, inAll: 7 });
  const first = await opened(port, 5);
  const beyond = await openRaw({ port });
  await ended(beyond);
  expect(first.every(({ destroyed }) => !destroyed)).toBe(true);
  first[0]!.destroy();
  await eventually(async () => {
    const next = await openRaw({ port });
    await pause(30);
    return !next.destroyed;
  }, "there is room again");
});

describe("time:", () => {
  test.each([
    ["who says nothing", ""],
    ["half a head", "CONNECT a.test:443 HTTP/1.1\r\nHost: a"],
  ])("%s is told, and cut", async (_what, bytes) => {
    const port = await listen({ headMs: 300 });
    const socket = await openRaw({ port });
    const reading = readRaw(socket, 8_000);
    socket.write(bytes);
    const [answer] = parseAnswers(await reading);
    expect([answer?.status, answer?.field("relay-error")]).toEqual([408, "head_late"]);
  });

  test("a head that comes byte by byte has no more time", async () => {
    const port = await listen({ headMs: 300 });
    const socket = await openRaw({ port });
    const reading = readRaw(socket, 8_000);
    const dripping = setInterval(() => socket.write("C"), 50);
    const [answer] = parseAnswers(await reading);
    clearInterval(dripping);
    // The parser may know before that it is no method.
    expect([400, 408]).toContain(answer?.status);
  });
});

test("who was let in is no stranger any more", async () => {
  const strangers = async () => node.metric("holdfast_proxy_strangers");
  const before = await strangers();
  const tunnel = await node.tunnel(target.url, { way: "https" });
  expect(await strangers()).toBe(before);
  expect(await node.metric("holdfast_proxy_connections")).toBe(before! + 1);
  tunnel.destroy();
  await eventually(async () => (await node.metric("holdfast_proxy_connections")) === before, "it is gone");
});

test("a handshake that fails ends its own connection and no other", async () => {
  const tunnel = await node.tunnel(target.url, { way: "https" });
  for (const bytes of [
    "nonsense",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "GET / HTTP/1.1\r\n\r\n",
  ]) {
    const socket = await openRaw({ port: node.ports.https });
    socket.end(Buffer.from(bytes, "latin1"));
    await ended(socket);
  }
  tunnel.end("still here");
  const chunks: Buffer[] = [];
  for await (const chunk of tunnel) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).toString()).toBe("still here");
});

test("TLS at the port without it is told", async () => {
  const answer = await node.ask("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
  expect(answer?.status).toBe(400);
});

test("a node that stops refuses connections at once, cuts its tunnels, and leaves nothing", async () => {
  const other = await startProxyNode(undefined, { drainSeconds: 0.3 });
  const here = await startTcpTarget((socket) => void socket.pipe(socket));
  const tunnels = [await other.tunnel(here.url), await other.tunnel(here.url, { way: "https" })];
  const cut = tunnels.map(ended);
  const draining = other.relay.drain();
  await pause(20);
  for (const way of ["http", "https"] as const) {
    await expect(other.connect(way)).rejects.toThrow("ECONNREFUSED");
  }
  await draining;
  await Promise.all(cut);
  const closed = other.log().filter(({ msg }) => msg === "stream closed");
  expect(closed.map(({ reason }) => reason)).toEqual(["node_draining", "node_draining"]);
  await eventually(() => here.sockets.every(({ destroyed }) => destroyed), "no target is held");
  await other.stop();
  await here.close();
});

test("a node that is closed cuts what is being opened", async () => {
  const other = await startProxyNode();
  const silent = await other.connect();
  const half = await other.connect();
  half.write("CONNECT a");
  const tunnel = await other.tunnel(target.url);
  const asking = await other.connect();
  asking.write(connectRequest("tcp://127.0.0.1:1"));
  const sockets = [silent, half, tunnel, asking];
  const gone = sockets.map(ended);
  await other.stop();
  await Promise.all(gone);
  expect(other.relay.limits.size).toBe(0);
});
