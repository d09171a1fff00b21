import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { STREAM_MESSAGE_MAX_BYTES, STREAM_WINDOW_BYTES } from "../../protocol/limits.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually, untilStreamsEnd } from "../support/node-log.ts";
import { ClientStream } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** What a stream carries once it is open: bytes, both ends on their own, resets, and limits. */

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

const open = (claims: object = {}) => ClientStream.open(node, { claims: { url: target.url, ...claims } });
const there = () => target.sockets.at(-1)!;
const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const lastClosed = () => node.log().findLast(({ msg }) => msg === "stream closed");

/** Bytes of which no part is like another. */
function varied(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

test("40 MB each way at once arrive with equal hashes", { timeout: 60_000 }, async () => {
  const down = varied(40_000_000);
  const up = varied(40_000_004);
  const seen = createHash("sha256");
  serve = (socket) => {
    socket.on("data", (chunk: Buffer) => seen.update(chunk));
    socket.end(down);
  };
  const stream = await open();
  stream.write(up);
  stream.finish();
  expect(await stream.over).toBeUndefined();
  expect(seen.digest("hex")).toBe(hash(up));
  expect(hash(stream.bytes)).toBe(hash(down));
});

describe("each side ends on its own:", () => {
  test("the client first, and the target answers what it heard", async () => {
    serve = (socket) => {
      let heard = "";
      socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
      socket.on("end", () => setTimeout(() => socket.end(`heard ${heard}`), 50));
    };
    const stream = await open();
    stream.write("all of it");
    stream.finish();
    expect(await stream.over).toBeUndefined();
    expect(stream.bytes.toString()).toBe("heard all of it");
  });

  test("the target first, and the client goes on", async () => {
    const heard: Buffer[] = [];
    serve = (socket) => void socket.on("data", (chunk: Buffer) => heard.push(chunk)).end("bye");
    const stream = await open();
    await eventually(() => stream.isEnded, "the target's end came");
    expect(stream.bytes.toString()).toBe("bye");
    stream.write("still ");
    await pause(50);
    stream.write("talking");
    stream.finish();
    expect(await stream.over).toBeUndefined();
    await eventually(() => Buffer.concat(heard).toString() === "still talking", "the target has heard it");
    expect(lastClosed()).toMatchObject({ reason: "done", bytes_up: 13, bytes_down: 3 });
  });
});

describe("who does not read slows the other:", () => {
  test("a client that stops costs the window, and the target stands", async () => {
    const much = varied(30 * STREAM_WINDOW_BYTES);
    serve = (socket) => void socket.end(much);
    const down = async () => (await node.metric('holdfast_stream_bytes_total{direction="down"}')) ?? 0;
    const before = await down();
    const stream = await open();
    stream.reads = false;
    const most = stream.end.received + STREAM_WINDOW_BYTES;
    await eventually(async () => (await down()) - before >= STREAM_WINDOW_BYTES, "the window is full");
    await pause(1_500);
    expect((await down()) - before).toBeLessThanOrEqual(most);
    expect(stream.end.received).toBeLessThanOrEqual(most);
    expect(there().writableLength).toBeGreaterThan(10 * STREAM_WINDOW_BYTES);
    stream.read();
    stream.finish();
    expect(await stream.over).toBeUndefined();
    expect(hash(stream.bytes)).toBe(hash(much));
  });

  test("a target that stops lets its client send the window beyond what the system holds", async () => {
    serve = (socket) => void socket.pause();
    const stream = await open();
    const much = varied(40 * STREAM_WINDOW_BYTES);
    stream.write(much);
    const up = async () => (await node.metric('holdfast_stream_bytes_total{direction="up"}')) ?? 0;
    let last = -1;
    await eventually(
      async () => {
        const now = await up();
        const isStill = now === last && stream.end.room === 0;
        last = now;
        await pause(300);
        return isStill;
      },
      "it stands",
      15_000,
    );
    expect(stream.end.sent).toBeLessThan(much.length);
    // In the other direction nothing waits.
    there().write("hello");
    await eventually(() => stream.bytes.toString() === "hello", "it came");
    const seen = createHash("sha256");
    there()
      .on("data", (chunk: Buffer) => seen.update(chunk))
      .resume();
    stream.finish();
    there().on("end", () => there().end());
    expect(await stream.over).toBeUndefined();
    expect(seen.digest("hex")).toBe(hash(much));
  });

  test("a megabyte of single bytes that nobody takes costs no more than others", async () => {
    serve = (socket) => void socket.pause();
    const stream = await open();
    // As small as messages get; it is the window that ends this.
    for (let sent = 0; sent < 300_000; sent++) stream.end.send(Uint8Array.of(7));
    const heard: Buffer[] = [];
    there()
      .on("data", (chunk: Buffer) => heard.push(chunk))
      .resume();
    stream.finish();
    there().on("end", () => there().end());
    expect(await stream.over).toBeUndefined();
    expect(Buffer.concat(heard).equals(Buffer.alloc(300_000, 7))).toBe(true);
  });
});

describe("a stream that is broken off", () => {
  test("by the target: the client hears that it was reset", async () => {
    const stream = await open();
    stream.write("x");
    await eventually(() => stream.bytes.length === 1, "it came back");
    there().resetAndDestroy();
    expect(await stream.over).toMatchObject({ code: "target_reset", reached: "yes", retryable: false });
    const [code, reason] = (await once(stream.socket, "close")) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([1_011, "target_reset"]);
    expect(lastClosed()).toMatchObject({ reason: "target_reset" });
  });

  test("by the client: the target sees a reset, and not an end", async () => {
    let ended = false;
    let error: unknown;
    serve = (socket) =>
      void socket
        .on("end", () => (ended = true))
        .on("error", (one) => (error = one))
        .resume();
    const stream = await open();
    stream.end.reset(new RelayError("stream_cancelled", "enough"));
    await eventually(() => error !== undefined, "the target saw it");
    expect([ended, (error as NodeJS.ErrnoException).code]).toEqual([false, "ECONNRESET"]);
    await eventually(() => lastClosed()?.["reason"] === "stream_cancelled", "it was told");
    expect(lastClosed()).toMatchObject({ detail: "enough", reached: "yes" });
  });
});

describe("a client that breaks the rules ends its own stream and no other:", () => {
  const BROKEN: readonly (readonly [what: string, messages: readonly (string | Buffer)[]])[] = [
    ["no JSON", ["hello"]],
    ["an unknown type", ['{"type":"hello"}']],
    ["a second open", [JSON.stringify({ type: "open" })]],
    ["an ack beyond what was sent", ['{"type":"ack","bytes":1}']],
    ["an ack far beyond", ['{"type":"ack","bytes":9007199254740991}']],
    ["an ack of an end that was not", ['{"type":"ack","bytes":0,"fin":true}']],
    ["a fin of another length", ['{"type":"fin","bytes":5}']],
    ["bytes after the end", ['{"type":"fin","bytes":0}', Buffer.from("x")]],
    ["a control message that is too long", [JSON.stringify({ type: "ping", x: "x".repeat(5_000) })]],
    ["a message that is too long", [Buffer.alloc(STREAM_MESSAGE_MAX_BYTES + 1)]],
  ];
  test.each(BROKEN)("%s", async (_what, messages) => {
    // It says nothing, so that nothing but the message can be what ends a stream.
    serve = (socket) => void socket.resume();
    const other = await open();
    const stream = await open();
    const closed = once(stream.socket, "close");
    for (const message of messages) stream.socket.send(message);
    await closed;
    await eventually(() => lastClosed()?.["stream"] !== undefined, "it was told");
    expect(lastClosed()).toMatchObject({ reason: "stream_protocol", reached: "yes" });
    other.finish();
    await eventually(() => target.sockets.at(-2)!.readableEnded, "the other goes on");
    other.end.reset(new RelayError("stream_cancelled", ""));
  });

  test("more than the window, to a target that reads nothing", async () => {
    serve = (socket) => void socket.pause();
    const stream = await open();
    const piece = Buffer.alloc(STREAM_MESSAGE_MAX_BYTES);
    // The system takes some MB of it on the way to the target.
    for (let i = 0; i < 400 && stream.socket.readyState === stream.socket.OPEN; i++) {
      await new Promise<void>((sent) => stream.socket.send(piece, () => sent()));
    }
    expect(await stream.over).toMatchObject({ code: "stream_protocol" });
  });

  test("questions without end, whose answers nobody reads", { timeout: 60_000 }, async () => {
    const stream = await open();
    stream.socket.pause();
    const isCut = async () => (await node.metric("holdfast_streams_detached")) === 1;
    while (!(await isCut())) {
      for (let i = 0; i < 20_000; i++) stream.socket.send('{"type":"ping"}');
      await new Promise<void>((sent) => stream.socket.send('{"type":"ping"}', () => sent()));
    }
    expect(await isCut()).toBe(true);
    stream.end.detach();
    await stream.resume();
    stream.finish();
    expect(await stream.over).toBeUndefined();
  });
});

describe("the client's limits:", () => {
  test("a stream that carries nothing ends; questions are nothing", async () => {
    const stream = await open({ limits: { idle: 0.8 } });
    const asking = setInterval(() => stream.end.ping(), 100);
    const began = performance.now();
    expect(await stream.over).toMatchObject({ code: "stream_idle" });
    clearInterval(asking);
    expect(performance.now() - began).toBeGreaterThan(700);
  });

  test("one that carries something from time to time does not", async () => {
    const stream = await open({ limits: { idle: 1.5 } });
    for (let i = 0; i < 10; i++) {
      stream.write("x");
      await pause(250);
    }
    stream.finish();
    expect(await stream.over).toBeUndefined();
  });

  test("a stream lasts as long as it may", async () => {
    const stream = await open({ limits: { lifetime: 0.8 } });
    const talking = setInterval(() => stream.write("x"), 50);
    expect(await stream.over).toMatchObject({ code: "stream_lifetime" });
    clearInterval(talking);
  });

  test("bytes are shaped, both ways together", async () => {
    const stream = await open({ sub: "shaped", limits: { bytes: 400_000 } });
    const began = performance.now();
    const bytes = varied(600_000);
    stream.write(bytes);
    stream.finish();
    expect(await stream.over).toBeUndefined();
    expect(hash(stream.bytes)).toBe(hash(bytes));
    // 1.2 MB in all; the first second's worth is there at once.
    expect(performance.now() - began).toBeGreaterThan(1_500);
  });
});
