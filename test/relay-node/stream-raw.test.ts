import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { RAW_MESSAGE_MAX_BYTES } from "../../protocol/limits.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually, untilStreamsEnd } from "../support/node-log.ts";
import { openRaw } from "../support/raw-stream.ts";
import { askStream, failureOf } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** A stream without a protocol: messages are bytes, as drivers of databases over WebSocket speak. */

let node: NodeHere;
let target: TcpTarget;
let serve: (socket: Socket) => void;
beforeAll(async () => {
  node = await startNodeHere({ tickMs: 100 });
  target = await startTcpTarget((socket) => serve(socket));
});
beforeEach(() => {
  serve = (socket) => void socket.pipe(socket);
});
afterEach(() => untilStreamsEnd(() => node.log()));
afterAll(async () => {
  await node.stop();
  await target.close();
});

const open = (claims: Readonly<Record<string, unknown>> = {}, protocols: readonly string[] = []) =>
  openRaw(node, { url: target.url, ...claims }, protocols);

const there = () => target.sockets.at(-1)!;
const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const closedLines = () => node.log().filter(({ msg }) => msg === "stream closed");
async function closing(act: () => void): Promise<Record<string, unknown>> {
  const before = closedLines().length;
  act();
  await eventually(() => closedLines().length > before, "the stream is closed");
  return closedLines().at(-1)!;
}

describe("bytes", () => {
  test("go both ways, text as well, in messages however they are cut", async () => {
    const { socket, bytes } = await open();
    socket.send(Buffer.from("bytes, "));
    socket.send("text ü, ");
    socket.send(Buffer.alloc(0));
    socket.send("and a message ", { fin: false });
    socket.send("in pieces", { fin: true });
    const all = "bytes, text ü, and a message in pieces";
    await eventually(() => bytes().length === Buffer.byteLength(all), "it came back");
    expect(bytes().toString()).toBe(all);
    socket.close(1_000);
  });

  test("30 MB each way at once arrive with equal hashes", { timeout: 60_000 }, async () => {
    const [up, down] = [Buffer.alloc(30_000_000, "up and on "), Buffer.alloc(30_000_000, "down we go ")];
    const seen = createHash("sha256");
    let count = 0;
    serve = (socket) => {
      socket.on("data", (chunk: Buffer) => {
        seen.update(chunk);
        count += chunk.length;
        if (count === up.length) socket.end();
      });
      socket.write(down);
    };
    const { socket, bytes, closed } = await open();
    for (let at = 0; at < up.length; at += 1_000_000) socket.send(up.subarray(at, at + 1_000_000));
    expect((await closed)[0]).toBe(1_000);
    expect(seen.digest("hex")).toBe(hash(up));
    expect(hash(bytes())).toBe(hash(down));
  });

  test("of a message longer than may be end the stream", async () => {
    const { socket, closed } = await open();
    const line = await closing(() => socket.send(Buffer.alloc(RAW_MESSAGE_MAX_BYTES + 1)));
    expect(line).toMatchObject({ mode: "raw", reason: "stream_protocol" });
    expect((await closed)[0]).toBe(1_009);
  });
});

describe("who does not read slows the other:", () => {
  test("a target", { timeout: 60_000 }, async () => {
    serve = (socket) => void socket.pause();
    const { socket } = await open();
    const piece = Buffer.alloc(1_000_000, "x");
    for (let i = 0; i < 60; i++) socket.send(piece);
    let last = -1;
    await eventually(
      async () => {
        const isStill = socket.bufferedAmount === last;
        last = socket.bufferedAmount;
        await pause(300);
        return isStill;
      },
      "it stands",
      20_000,
    );
    expect(last).toBeGreaterThan(20_000_000);
    let seen = 0;
    there()
      .on("data", (chunk: Buffer) => (seen += chunk.length))
      .resume();
    await eventually(() => seen === 60_000_000, "all came", 30_000);
    socket.close(1_000);
  });
});

describe("the end", () => {
  test("of the target closes the WebSocket, behind all that it said", async () => {
    serve = (socket) => void socket.end("last words");
    const { bytes, closed } = await open();
    expect(await closed).toEqual([1_000, ""]);
    expect(bytes().toString()).toBe("last words");
    await eventually(() => there().readableEnded || there().destroyed, "the target hears an end, too");
  });

  test.each([1_000, 1_001, undefined])("of the client, by %s, lets the target finish", async (code) => {
    const heard: Buffer[] = [];
    let finished = false;
    serve = (socket) => {
      socket.on("data", (chunk: Buffer) => heard.push(chunk));
      socket.on("end", () => setTimeout(() => socket.end("nobody hears this", () => (finished = true)), 100));
    };
    const { socket } = await open();
    socket.send("all of it");
    const line = await closing(() => socket.close(code));
    expect(line).toMatchObject({ reason: "done", bytes_up: 9 });
    expect(Buffer.concat(heard).toString()).toBe("all of it");
    expect(finished).toBe(true);
  });

  test.each([
    ["that breaks", (socket: WebSocket) => socket.terminate(), "stream_lost"],
    ["with a code of a failure", (socket: WebSocket) => socket.close(4_000), "stream_cancelled"],
  ] as const)("of a client %s resets the target", async (_what, act, reason) => {
    let error: NodeJS.ErrnoException | undefined;
    serve = (socket) => void socket.on("error", (one) => (error = one)).resume();
    const { socket } = await open();
    expect(await closing(() => act(socket))).toMatchObject({ reason });
    await eventually(() => error?.code === "ECONNRESET", "the target was reset");
  });

  test("by the target's reset is told with a short reason", async () => {
    const { socket, bytes, closed } = await open();
    socket.send("x");
    await eventually(() => bytes().length === 1, "it came back");
    const line = await closing(() => there().resetAndDestroy());
    expect(line).toMatchObject({ reason: "target_reset", reached: "yes" });
    expect(await closed).toEqual([1_011, "target_reset"]);
  });
});

describe("limits", () => {
  test.each([
    ["idle", "stream_idle"],
    ["lifetime", "stream_lifetime"],
  ])("%s ends it", async (limit, reason) => {
    const { closed } = await open({ limits: { [limit]: 0.6 } });
    expect(await closed).toEqual([1_011, reason]);
  });

  test("bytes are shaped", async () => {
    const { socket, bytes } = await open({ sub: "shaped-raw", limits: { bytes: 400_000 } });
    const began = performance.now();
    socket.send(Buffer.alloc(600_000, "z"));
    await eventually(() => bytes().length === 600_000, "it came back", 20_000);
    expect(performance.now() - began).toBeGreaterThan(1_500);
    socket.close(1_000);
  });

  test("slots come back", async () => {
    const limited = { sub: "raw-one", limits: { streams: 1 } };
    const { socket } = await open(limited);
    const claims = { url: target.url, ...limited };
    expect((await failureOf(askStream(node, { claims, protocols: [] }))).code).toBe("concurrency_limited");
    await closing(() => socket.terminate());
    (await open(limited)).socket.terminate();
  });
});
