import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StreamMessage } from "../../protocol/stream-messages.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type BlackHole, startBlackHole } from "../support/black-hole.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually } from "../support/node-log.ts";
import { revocation } from "../support/revocations.ts";
import { rawRequest, sendRaw } from "../support/raw-http.ts";
import { askStream, failureOf, type Upgraded } from "../support/stream-client.ts";
import { freePort } from "../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** A path that is answered before the dial: what it may do until it is told to dial, and what becomes of bytes that come with that word. */

let node: NodeHere;
let echo: TcpTarget;
let hole: BlackHole;
beforeAll(async () => {
  node = await startNodeHere({ maxParked: 60, parkedSeconds: 2 });
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  hole = await startBlackHole("127.0.0.9");
});
afterAll(async () => {
  await node.stop();
  await echo.close();
  await hole.close();
});

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
/** Memory that is in use, in bytes. */
function used(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const parked = () => node.metric("holdfast_streams_parked");

/** A path that is parked, and its first message. */
async function park(
  claims: object = {},
  at = node,
): Promise<Upgraded & { readonly told: { stream: string } }> {
  const upgraded = await askStream(at, { claims: { url: echo.url, park: true, ...claims } });
  const told = JSON.parse(String(await upgraded.inbox.next())) as { type: string; stream: string };
  expect(told.type).toBe("parked");
  return Object.assign(upgraded, { told });
}

const say = ({ socket }: Upgraded, message: StreamMessage) => socket.send(JSON.stringify(message));
const next = async ({ inbox }: Upgraded) => JSON.parse(String(await inbox.next())) as Record<string, unknown>;

/** Bytes that come, until there are so many; what is said meanwhile is passed over. */
async function bytes({ inbox }: Upgraded, length: number): Promise<Buffer> {
  const got: Buffer[] = [];
  while (Buffer.concat(got).length < length) {
    const message = await inbox.next();
    if (typeof message !== "string") got.push(message);
  }
  return Buffer.concat(got);
}

describe("a parked path", () => {
  test("is answered without a dial, and opens when it is told to, with what came along", async () => {
    const before = echo.sockets.length;
    const path = await park();
    expect(path.head.headers).toMatchObject({ "relay-status": "parked", "relay-node": "node-1" });
    expect(path.head.headers["relay-egress"]).toBeUndefined();
    expect(path.told).toMatchObject({ node: "node-1", window: 1_048_576, seconds: 2 });
    expect(await parked()).toBe(1);
    await pause(100);
    expect(echo.sockets).toHaveLength(before);
    say(path, { type: "dial" });
    path.socket.send(Buffer.from("early "));
    path.socket.send(Buffer.from("bytes"));
    say(path, { type: "fin", bytes: 11 });
    expect(await next(path)).toMatchObject({
      type: "open",
      stream: path.told.stream,
      egress: "127.0.0.2",
      received: 0,
    });
    expect(String(await bytes(path, 11))).toBe("early bytes");
    expect(echo.sockets).toHaveLength(before + 1);
    expect(await parked()).toBe(0);
    path.socket.terminate();
  });

  test("answers a ping, before and while it dials, and hands on what fits no buffer of its own", async () => {
    const path = await park();
    say(path, { type: "ping" });
    expect(await next(path)).toEqual({ type: "pong" });
    const sent = Buffer.alloc(1_000_000, "0123456789abcdef");
    say(path, { type: "dial" });
    for (let at = 0; at < sent.length; at += 50_000) path.socket.send(sent.subarray(at, at + 50_000));
    expect(await next(path)).toMatchObject({ type: "open" });
    expect((await bytes(path, sent.length)).equals(sent)).toBe(true);
    path.socket.terminate();
  });

  test("goes on after its connection breaks, as any stream does", async () => {
    const path = await park();
    say(path, { type: "dial" });
    path.socket.send(Buffer.from("one"));
    await bytes(path, 3);
    path.socket.terminate();
    const resume = { stream: path.told.stream, received: 3, sent: 3 };
    const again = await askStream(node, { claims: { url: echo.url, resume } });
    expect(await next(again)).toMatchObject({ type: "open", stream: path.told.stream, received: 3 });
    again.socket.send(Buffer.from("two"));
    expect(String(await bytes(again, 3))).toBe("two");
    again.socket.terminate();
  });

  test("ends by a typed word where the dial comes to nothing, and no target has seen a byte", async () => {
    const closed = await freePort();
    const path = await park({ url: `tcp://127.0.0.1:${closed}` });
    say(path, { type: "dial" });
    path.socket.send(Buffer.from("for nobody"));
    expect(await next(path)).toMatchObject({ type: "rst", code: "connect_refused" });
    await once(path.socket, "close");
    const guarded = await park({ url: "tcp://10.0.0.1:5432" });
    say(guarded, { type: "dial" });
    expect(await next(guarded)).toMatchObject({ type: "rst", code: "address_refused" });
  });

  test("gives its dial up with its client, and with a cancel", async () => {
    const claims = { url: `tcp://127.0.0.9:${hole.port}`, jti: newRequestId() };
    const left = await park(claims);
    const refused = () => node.log().filter(({ msg }) => msg === "stream refused").length;
    const before = refused();
    say(left, { type: "dial" });
    left.socket.send(Buffer.from("x"));
    await pause(200);
    left.socket.terminate();
    await eventually(() => refused() > before, "the dial is given up");
    const given = await park({ ...claims, jti: newRequestId() });
    say(given, { type: "dial" });
    say(given, { type: "rst", code: "stream_cancelled", detail: "" });
    expect(await next(given)).toMatchObject({ type: "rst" });
  });

  test("carries nothing before it is told to dial, and is told once", async () => {
    const early = await park();
    early.socket.send(Buffer.from("x"));
    expect(await next(early)).toMatchObject({ type: "rst", code: "stream_protocol" });
    const twice = await park();
    say(twice, { type: "dial" });
    say(twice, { type: "dial" });
    expect(await next(twice)).toMatchObject({ type: "rst", code: "stream_protocol" });
    const after = await park({ url: `tcp://127.0.0.9:${hole.port}` });
    say(after, { type: "dial" });
    after.socket.send(Buffer.from("x"));
    say(after, { type: "fin", bytes: 1 });
    after.socket.send(Buffer.from("y"));
    expect(await next(after)).toMatchObject({ type: "rst", code: "stream_protocol" });
    const plain = askStream(node, { claims: { url: echo.url, park: true }, protocols: [] });
    expect(await failureOf(plain)).toMatchObject({ code: "request_invalid", reached: "no" });
  });

  test("has an id that is good once", async () => {
    const jti = newRequestId();
    const path = await park({ jti });
    const again = askStream(node, { claims: { url: echo.url, park: true, jti } });
    expect(await failureOf(again)).toMatchObject({ code: "token_replayed" });
    path.socket.close();
  });

  test("waits for so long, and no longer than its grant", async () => {
    const path = await park();
    const [code] = (await once(path.socket, "close")) as [number];
    expect(code).toBe(1_011);
    expect(await next(path)).toMatchObject({ type: "rst", code: "stream_idle" });
    const now = Math.floor(Date.now() / 1_000);
    // A leeway of 5 s is granted to its end.
    const late = await park({ iat: now - 20, exp: now - 4 });
    await pause(1_500);
    say(late, { type: "dial" });
    expect(await next(late)).toMatchObject({ type: "rst", code: "grant_expired" });
  });
});

describe("parked paths are limited", () => {
  test("of one client, beside its streams and not among them", async () => {
    const limits = { streams: 1 };
    const claims = { sub: "many", limits };
    const paths: Upgraded[] = [];
    for (let count = 0; count < 50; count++) paths.push(await park(claims));
    const more = askStream(node, { claims: { url: echo.url, park: true, ...claims } });
    expect(await failureOf(more)).toMatchObject({ code: "concurrency_limited", reached: "no" });
    const [first, second, ...rest] = paths;
    say(first!, { type: "dial" });
    expect(await next(first!)).toMatchObject({ type: "open" });
    say(second!, { type: "dial" });
    expect(await next(second!)).toMatchObject({ type: "rst", code: "concurrency_limited" });
    for (const { socket } of [first!, ...rest]) socket.terminate();
    await eventually(async () => (await parked()) === 0, "no path is parked");
  });

  test("of all clients together", async () => {
    const paths: Upgraded[] = [];
    for (let count = 0; count < 60; count++) paths.push(await park({ sub: `client-${count % 3}` }));
    const more = askStream(node, { claims: { url: echo.url, park: true, sub: "one-more" } });
    expect(await failureOf(more)).toMatchObject({ code: "node_full", reached: "no" });
    for (const { socket } of paths) socket.terminate();
    await eventually(async () => (await parked()) === 0, "no path is parked");
  });
});

test("one path more than the node has room for is not dialled", async () => {
  const small = await startNodeHere({ maxStreams: 1, parkedSeconds: 20 });
  const paths = [await park({}, small), await park({}, small)];
  for (const path of paths) say(path, { type: "dial" });
  const told = await Promise.all(paths.map(next));
  expect(told.map(({ type, code }) => code ?? type)).toEqual(["open", "node_full"]);
  for (const { socket } of paths) socket.terminate();
  await small.stop();
});

test("bytes that come one by one while a path dials cost about as much memory as they are", async () => {
  const many = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      park({ sub: `client-${index}`, url: `tcp://127.0.0.9:${hole.port}` }),
    ),
  );
  // Masked by 0, so that all stand in one buffer.
  const frames = Buffer.concat(
    Array.from({ length: 16_000 }, () => Buffer.from([0x82, 0x81, 0, 0, 0, 0, 65])),
  );
  for (const path of many) say(path, { type: "dial" });
  await pause(200);
  const before = used();
  for (const { head } of many) head.socket.write(frames);
  await pause(1_000);
  expect((used() - before) / many.length).toBeLessThan(150_000);
  for (const { socket } of many) socket.terminate();
});

test("bytes that came one by one reach the target once and in order", async () => {
  const path = await park();
  const sent = Buffer.from(Array.from({ length: 20_000 }, (_, index) => index % 251));
  say(path, { type: "dial" });
  for (let at = 0; at < sent.length;) path.socket.send(sent.subarray(at, (at += 1 + (at % 3))));
  say(path, { type: "fin", bytes: sent.length });
  expect(await next(path)).toMatchObject({ type: "open" });
  expect((await bytes(path, sent.length)).equals(sent)).toBe(true);
  path.socket.terminate();
});

test("one that is revoked dials nothing, also before its turn to be ended has come", async () => {
  const wide = await startNodeHere({ maxParked: 400, parkedSeconds: 20 });
  const subs = Array.from({ length: 8 }, (_, index) => `revoked-${index}`);
  const paths = await Promise.all(
    subs.flatMap((sub) => Array.from({ length: 45 }, () => park({ sub }, wide))),
  );
  const dialled = echo.sockets.length;
  for (const path of paths) say(path, { type: "dial" });
  const ended = wide.relay.revocations.apply(subs.map((client) => revocation("client", client, { client })));
  const codes = (await Promise.all(paths.map(next))).map(({ code }) => code);
  expect(new Set(codes)).toEqual(new Set(["revoked"]));
  await ended;
  await pause(200);
  expect(echo.sockets).toHaveLength(dialled);
  await wide.stop();
});

test("a cancel ends a parked path", async () => {
  const jti = newRequestId();
  const path = await park({ jti });
  const grant = node.grant({ claims: { act: "cancel", htm: "GET", url: echo.url, jti } });
  const fields = [
    "Host: x",
    "Connection: close",
    `Relay-Authorization: Bearer ${grant}`,
    "Content-Length: 0",
  ];
  const answer = await sendRaw({ port: node.port, ca: node.ca }, rawRequest("POST /cancel", fields));
  expect(answer?.status).toBe(204);
  expect(await next(path)).toMatchObject({ type: "rst" });
});

test("a node that drains ends parked paths at once, and waits for none", async () => {
  const leaving = await startNodeHere({ parkedSeconds: 20 }, { drainSeconds: 20 });
  const path = await park({}, leaving);
  const began = performance.now();
  const drained = leaving.relay.drain();
  expect(await next(path)).toMatchObject({ type: "rst", code: "node_draining" });
  await drained;
  expect(performance.now() - began).toBeLessThan(10_000);
  await leaving.stop();
});
