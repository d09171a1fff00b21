import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually, untilStreamsEnd } from "../support/node-log.ts";
import {
  connectRequest,
  LOGIN,
  loginOf,
  type ProxyNode,
  readHead,
  startProxyNode,
} from "../support/proxy-node.ts";
import { readRaw } from "../support/raw-http.ts";
import { startBlackHole } from "../support/black-hole.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** What a tunnel of the proxy door carries once it is open: bytes, both ends on their own, resets, and limits. */

let node: ProxyNode;
let target: TcpTarget;
let serve: (socket: Socket) => void;
beforeAll(async () => {
  node = await startProxyNode({ tickMs: 100, halfClosedMs: 1_500 });
  target = await startTcpTarget((socket) => serve(socket));
});
beforeEach(() => {
  serve = (socket) => void socket.pipe(socket);
  node.limits = undefined;
});
afterEach(() => untilStreamsEnd(() => node.log()));
afterAll(async () => {
  await node.stop();
  await target.close();
});

const there = () => target.sockets.at(-1)!;
const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const lastClosed = () => node.log().findLast(({ msg }) => msg === "stream closed");
const closedLines = () => node.log().filter(({ msg }) => msg === "stream closed").length;
const open = async () => (await node.metric("holdfast_streams_open")) ?? 0;

/** Bytes of which no part is like another. */
function varied(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

/** All until its end. A loop over it would destroy it then, whatever is still to be written. */
async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket.resume(), "end");
  return Buffer.concat(chunks);
}

/** How a connection ended: by a FIN, or by something that nobody takes for one. */
function endOf(socket: Socket): Promise<string> {
  return new Promise((done) => {
    socket
      .once("end", () => done("end"))
      .once("error", ({ code }: NodeJS.ErrnoException) => done(code ?? "?"));
    socket.resume();
  });
}

describe.each(["http", "https"] as const)("over %s,", (way) => {
  test("an answer to a CONNECT has the marks, and the target nothing", async () => {
    const socket = await node.connect(way);
    socket.write(connectRequest(target.url));
    const head = await readHead(socket);
    expect(head.split("\r\n")[0]).toBe("HTTP/1.1 200 Connection established");
    expect(head).toMatch(/\r\nrelay-node: node-1\r\n/);
    expect(head).toMatch(/\r\nrelay-request-id: [\w-]{22}\r\n/);
    expect(head).toMatch(/\r\nrelay-egress: 127\.0\.0\.2(\r\n|$)/);
    expect(head).not.toMatch(/content-length|transfer-encoding|relay-status/i);
    expect(there().remoteAddress).toBe("127.0.0.2");
    expect(there().bytesRead).toBe(0);
    socket.destroy();
  });

  test("bytes that came with the request, and while the target was dialled, come first", async () => {
    const tunnel = await node.tunnel(target.url, { way, early: Buffer.from("early ") });
    tunnel.write("late");
    tunnel.end();
    expect((await readAll(tunnel)).toString()).toBe("early late");
  });

  test("more early bytes than may be kept arrive all the same", async () => {
    const early = varied(1_000_000);
    const tunnel = await node.tunnel(target.url, { way, early });
    tunnel.end();
    expect(hash(await readAll(tunnel))).toBe(hash(early));
  });

  test("20 MB each way at once arrive with equal hashes", { timeout: 60_000 }, async () => {
    const down = varied(20_000_000);
    const up = varied(20_000_004);
    const seen = createHash("sha256");
    serve = (socket) => {
      socket.on("data", (chunk: Buffer) => seen.update(chunk));
      socket.end(down);
    };
    const tunnel = await node.tunnel(target.url, { way });
    tunnel.end(up);
    expect(hash(await readAll(tunnel))).toBe(hash(down));
    await eventually(() => there().readableEnded, "all came");
    expect(seen.digest("hex")).toBe(hash(up));
    await eventually(() => lastClosed()?.["bytes_up"] === up.length, "it was told");
    expect(lastClosed()).toMatchObject({
      reason: "done",
      door: "proxy",
      mode: "connect",
      bytes_down: down.length,
    });
  });

  test("the client ends first, and hears all that the target says for long", async () => {
    serve = (socket) => {
      socket.resume().on("end", () => {
        let left = 12;
        const timer = setInterval(() => {
          if (left-- > 0) return void socket.write("x");
          clearInterval(timer);
          socket.end("!");
        }, 200);
      });
    };
    const tunnel = await node.tunnel(target.url, { way });
    tunnel.end("all of it");
    expect((await readAll(tunnel)).toString()).toBe("xxxxxxxxxxxx!");
  });

  test("the target ends first, and the client goes on", async () => {
    const heard: Buffer[] = [];
    serve = (socket) => void socket.on("data", (chunk: Buffer) => heard.push(chunk)).end("bye");
    const tunnel = await node.tunnel(target.url, { way });
    const ended = once(tunnel, "end");
    tunnel.resume();
    await ended;
    tunnel.write("still ");
    await pause(50);
    tunnel.end("talking");
    await eventually(() => there().readableEnded, "the end came");
    expect(Buffer.concat(heard).toString()).toBe("still talking");
  });

  test("a tunnel of which one side has ended and nothing moves is given up", async () => {
    serve = (socket) => void socket.resume();
    const tunnel = await node.tunnel(target.url, { way });
    // What stood still before counts for nothing.
    await pause(1_700);
    tunnel.end();
    const began = performance.now();
    await eventually(() => lastClosed()?.["reason"] === "stream_idle", "it is given up");
    expect(performance.now() - began).toBeGreaterThan(1_000);
    tunnel.destroy();
  });

  test("a target's reset is the client's", async () => {
    const tunnel = await node.tunnel(target.url, { way });
    tunnel.write("x");
    await once(tunnel, "data");
    const ended = endOf(tunnel);
    there().resetAndDestroy();
    expect(await ended).toBe("ECONNRESET");
    await eventually(() => lastClosed()?.["reason"] === "target_reset", "it was told");
  });

  test("a client's reset is the target's", async () => {
    const before = closedLines();
    const tunnel = await node.tunnel(target.url, { way });
    tunnel.write("x");
    await once(tunnel, "data");
    const failed = new Promise<NodeJS.ErrnoException>((done) => there().once("error", done));
    if (way === "http") tunnel.resetAndDestroy();
    else {
      // A TLS connection breaks where it ends without a word, and its reader has left bytes unread.
      there().write(Buffer.alloc(4_000_000));
      tunnel.pause();
      await pause(50);
      tunnel.destroy();
    }
    expect((await failed).code).toBe("ECONNRESET");
    await eventually(() => closedLines() > before, "it was told");
    expect(lastClosed()).toMatchObject({ reason: "stream_cancelled" });
  });

  test("a client that goes right after the 200 leaves nothing", async () => {
    const before = closedLines();
    const first = target.sockets.length;
    for (let index = 0; index < 20; index++) {
      const tunnel = await node.tunnel(target.url, { way });
      tunnel.destroy();
    }
    await eventually(() => closedLines() >= before + 20, "all are over");
    await eventually(
      () => target.sockets.slice(first).every(({ destroyed }) => destroyed),
      "no target is held",
    );
    expect(target.sockets.length - first).toBe(20);
  });

  test("a client that reads nothing slows the target, and costs no more than a bound", async () => {
    const much = 32_000_000;
    serve = (socket) => void socket.end(Buffer.alloc(much, 7));
    const down = async () => (await node.metric('holdfast_stream_bytes_total{direction="down"}')) ?? 0;
    const before = await down();
    const tunnel = await node.tunnel(target.url, { way });
    tunnel.pause();
    let last = -1;
    await eventually(
      async () => {
        const now = await down();
        const isStill = now === last && now > before;
        last = now;
        await pause(200);
        return isStill;
      },
      "it stands",
      10_000,
    );
    // What the systems between hold.
    expect(last - before).toBeLessThan(much / 2);
    expect(there().writableLength).toBeGreaterThan(0);
    let length = 0;
    tunnel.on("data", (chunk: Buffer) => (length += chunk.length));
    await once(tunnel.resume(), "end");
    expect(length).toBe(much);
    tunnel.end();
  });

  test("a target that reads nothing slows the client", async () => {
    serve = (socket) => void socket.pause();
    const tunnel = await node.tunnel(target.url, { way });
    const much = varied(32_000_000);
    tunnel.end(much);
    let last = -1;
    await eventually(async () => {
      const isStill = tunnel.writableLength === last;
      last = tunnel.writableLength;
      await pause(200);
      return isStill;
    }, "it stands");
    expect(last).toBeGreaterThan(0);
    const seen = createHash("sha256");
    there()
      .on("data", (chunk: Buffer) => seen.update(chunk))
      .on("end", () => there().end())
      .resume();
    await once(tunnel.resume(), "close");
    expect(seen.digest("hex")).toBe(hash(much));
  });

  test("a hundred tunnels at once keep their bytes apart", async () => {
    const before = await open();
    const tunnels = await Promise.all(Array.from({ length: 100 }, () => node.tunnel(target.url, { way })));
    expect(await open()).toBe(before + 100);
    const said = await Promise.all(
      tunnels.map(async (tunnel, index) => {
        tunnel.end(`${index} `.repeat(10_000));
        return (await readAll(tunnel)).toString();
      }),
    );
    said.forEach((text, index) => expect(text === `${index} `.repeat(10_000)).toBe(true));
    await eventually(async () => (await open()) === before, "all are over");
  });
});

describe("before the target answers,", () => {
  test("a client that goes ends the dial", async () => {
    const hole = await startBlackHole("127.0.0.31");
    const refused = () =>
      node.log().filter(({ msg, reason }) => msg === "stream refused" && reason === "stream_cancelled")
        .length;
    const before = refused();
    const socket = await node.connect();
    socket.write(connectRequest(`tcp://127.0.0.31:${hole.port}`));
    await eventually(() => node.asked.some(({ target: to }) => to.includes("127.0.0.31")), "it was asked");
    await pause(50);
    const began = performance.now();
    socket.destroy();
    await eventually(() => refused() > before, "it is given up");
    expect(performance.now() - began).toBeLessThan(2_000);
    await hole.close();
  });

  test("a target that can't be reached is told before any 200", async () => {
    const answer = await node.ask(connectRequest("tcp://127.0.0.1:1"));
    expect(answer?.status).toBe(502);
    expect(answer?.field("relay-error")).toBe("connect_refused");
    expect(answer?.field("relay-reached")).toBe("no");
    expect(answer?.field("proxy-status")).toBe("holdfast; error=connection_refused");
    expect(answer?.field("relay-request-id")).toMatch(/^[\w-]{22}$/);
  });

  test("a client that still sends gets the whole refusal", async () => {
    const socket = await node.connect();
    const reading = readRaw(socket);
    socket.write(connectRequest("tcp://127.0.0.1:1") + "x".repeat(300_000));
    expect(await reading).toMatch(
      /^HTTP\/1\.1 502 Bad Gateway \(connect_refused\)\r\n[^]*"code":"connect_refused"/,
    );
  });

  test("an address that is closed to all is refused", async () => {
    const answer = await node.ask(connectRequest("tcp://192.168.0.1:443"));
    expect([answer?.status, answer?.field("relay-error")]).toEqual([403, "address_refused"]);
  });
});

describe("the client's limits:", () => {
  test("bytes are shaped, both ways together", async () => {
    node.limits = { bytes: 400_000 };
    const tunnel = await node.tunnel(target.url, { login: loginOf("shaped") });
    const began = performance.now();
    const bytes = varied(600_000);
    tunnel.end(bytes);
    expect(hash(await readAll(tunnel))).toBe(hash(bytes));
    // 1.2 MB in all; the first second's worth is there at once.
    expect(performance.now() - began).toBeGreaterThan(1_500);
  });

  test.each([
    ["idle", { idle: 0.5 }, "stream_idle"],
    ["lifetime", { lifetime: 0.5 }, "stream_lifetime"],
  ] as const)("%s ends a tunnel, and both ends see a cut", async (name, limits, reason) => {
    node.limits = limits;
    const tunnel = await node.tunnel(target.url, { login: loginOf(name) });
    const ends = Promise.all([endOf(tunnel), endOf(there())]);
    expect(await ends).toEqual(["ECONNRESET", "ECONNRESET"]);
    expect(lastClosed()).toMatchObject({ reason });
  });

  test("so many tunnels and no more", async () => {
    node.limits = { streams: 1 };
    const login = loginOf("few");
    const tunnel = await node.tunnel(target.url, { login });
    const answer = await node.ask(connectRequest(target.url, [login]));
    expect([answer?.status, answer?.field("relay-error"), answer?.field("retry-after")]).toEqual([
      429,
      "concurrency_limited",
      "1",
    ]);
    tunnel.destroy();
  });
});

test("a second tunnel to a target asks nobody", async () => {
  const login = loginOf("warm");
  (await node.tunnel(target.url, { login })).destroy();
  const before = node.asked.length;
  (await node.tunnel(target.url, { login })).destroy();
  expect(node.asked.length).toBe(before);
});

test("a log line names client and target, and no credentials", async () => {
  (await node.tunnel(target.url, { login: LOGIN })).destroy();
  await eventually(() => lastClosed() !== undefined, "it was told");
  expect(node.log().findLast(({ msg }) => msg === "stream opened")).toMatchObject({
    door: "proxy",
    mode: "connect",
    client: "app",
    target: target.url.slice("tcp://".length),
    decision: "relayed",
    egress: "127.0.0.2",
  });
});
