import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { STREAM_WINDOW_BYTES } from "../../protocol/limits.ts";
import { parseStreamMessage } from "../../protocol/stream-messages.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually } from "../support/node-log.ts";
import { askStream, ClientStream, failureOf } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** A path that breaks under a stream costs it nothing, as long as the same client comes back for the same target in time. */

const RESUME_MS = 3_000;
let node: NodeHere;
let target: TcpTarget;
let other: TcpTarget;
let serve: (socket: Socket) => void;
beforeAll(async () => {
  node = await startNodeHere({ resumeMs: RESUME_MS, tickMs: 100 });
  target = await startTcpTarget((socket) => serve(socket));
  other = await startTcpTarget((socket) => socket.pipe(socket));
});
afterEach(() => {
  serve = (socket) => void socket.pipe(socket);
});
afterAll(async () => {
  await node.stop();
  await target.close();
  await other.close();
});
serve = (socket) => void socket.pipe(socket);

const open = (claims: object = {}) => ClientStream.open(node, { claims: { url: target.url, ...claims } });
const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const closedLines = () => node.log().filter(({ msg }) => msg === "stream closed");

test(
  "cut many times in the middle, in either direction, and the hashes are equal",
  { timeout: 60_000 },
  async () => {
    const up = randomBytes(8_000_000);
    const down = randomBytes(8_000_000);
    const gathered: Buffer[] = [];
    serve = (socket) => {
      socket.on("data", (chunk: Buffer) => gathered.push(chunk));
      socket.end(down);
    };
    const stream = await open();
    stream.write(up);
    stream.finish();
    let cuts = 0;
    for (; cuts < 40; cuts++) {
      await pause(Math.random() * 25);
      if (stream.end.isDone) break;
      stream.cut();
      await stream.resume();
    }
    expect(await stream.over).toBeUndefined();
    expect(cuts).toBeGreaterThan(3);
    expect(hash(stream.bytes)).toBe(hash(down));
    await eventually(() => gathered.reduce((sum, { length }) => sum + length, 0) === up.length, "all came");
    expect(hash(Buffer.concat(gathered))).toBe(hash(up));
    await eventually(() => closedLines().length > 0, "the stream is closed");
    const line = closedLines().at(-1)!;
    expect(line).toMatchObject({ reason: "done", bytes_up: up.length, bytes_down: down.length });
    // Where the cut took the node's last word alone, the stream was closed before its client came back for it.
    expect([cuts, cuts - 1]).toContain(line["resumes"]);
  },
);

test("who comes back displaces the connection before, which is heard no more", async () => {
  const stream = await open();
  stream.write("one ");
  await eventually(() => stream.bytes.length === 4, "it came back");
  const old = stream.socket;
  const gone = once(old, "close");
  await stream.resume();
  expect((await gone)[0]).toBe(1_006);
  stream.write("two");
  stream.finish();
  expect(await stream.over).toBeUndefined();
  expect(stream.bytes.toString()).toBe("one two");
});

test("the head and the first message of a connection that takes over say where it stands", async () => {
  const stream = await open();
  stream.write("12345");
  await eventually(() => stream.bytes.length === 5, "it came back");
  stream.cut();
  const { head, inbox, socket } = await askStream(node, {
    claims: { url: target.url, resume: stream.resumeClaim },
  });
  expect(head.headers).toMatchObject({
    "relay-status": "target",
    "relay-node": "node-1",
    "relay-egress": "127.0.0.2",
  });
  expect(parseStreamMessage((await inbox.next()) as string)).toEqual({ ...stream.open, received: 5 });
  socket.terminate();
});

test("while nobody is there the target is read as far as the window, and the rest waits at its side", async () => {
  const much = randomBytes(20 * STREAM_WINDOW_BYTES);
  serve = (socket) => void socket.end(much);
  const read = async () => (await node.metric('holdfast_stream_bytes_total{direction="down"}')) ?? 0;
  const before = await read();
  const stream = await open();
  stream.cut();
  const most = stream.end.received + STREAM_WINDOW_BYTES;
  await eventually(async () => (await read()) - before >= STREAM_WINDOW_BYTES, "the window is full");
  await pause(300);
  expect((await read()) - before).toBeLessThanOrEqual(most);
  await stream.resume();
  await eventually(() => stream.isEnded, "all came", 20_000);
  stream.finish();
  expect(await stream.over).toBeUndefined();
  expect(hash(stream.bytes)).toBe(hash(much));
});

describe("the last word was lost", () => {
  test("of a stream that is done: it is told again", async () => {
    const stream = await open();
    stream.write("bye");
    await eventually(() => stream.bytes.length === 3, "it came back");
    // From here on the client sends and hears nothing more of what the node answers.
    const { socket } = stream;
    const closed = once(socket, "close");
    const seen = closedLines().length;
    stream.deaf = true;
    stream.finish();
    await eventually(() => target.sockets.at(-1)!.destroyed, "the target is done");
    // The node is not: it waits for the client's ack, which a client sends whose answer is lost.
    socket.send(JSON.stringify({ type: "ack", bytes: 3, fin: true }));
    await closed;
    await eventually(() => closedLines().length > seen, "the node is done");
    expect(closedLines().at(-1)).toMatchObject({ reason: "done" });
    expect(stream.end.isDone).toBe(false);
    stream.end.detach();
    stream.deaf = false;
    await stream.resume();
    expect(await stream.over).toBeUndefined();
    const [code] = (await once(stream.socket, "close")) as [number];
    expect(code).toBe(1_000);
  });

  test("of a stream that was reset: the error is told", async () => {
    const stream = await open();
    stream.cut();
    target.sockets.at(-1)!.resetAndDestroy();
    await eventually(() => closedLines().at(-1)?.["reason"] === "target_reset", "it was reset");
    const error = await failureOf(stream.resume());
    expect(error).toMatchObject({ code: "target_reset", status: 502, reached: "yes", retryable: false });
  });

  test("and after a while it is forgotten", async () => {
    const stream = await open();
    stream.cut();
    target.sockets.at(-1)!.resetAndDestroy();
    await pause(RESUME_MS + 500);
    expect((await failureOf(stream.resume())).code).toBe("stream_unknown");
  });
});

test("who does not come in time finds nothing, and the target sees a reset", async () => {
  let reset: Error | undefined;
  serve = (socket) => void socket.on("error", (error) => (reset = error)).resume();
  const stream = await open();
  stream.write("x");
  await eventually(() => target.sockets.at(-1)!.bytesRead === 1, "it came");
  stream.cut();
  const lost = await node.metric('holdfast_streams_closed_total{reason="stream_lost"}');
  await eventually(async () => (await node.metric("holdfast_streams_detached")) === 1, "it is detached");
  await eventually(() => reset !== undefined, "the target was reset");
  expect(reset).toMatchObject({ code: "ECONNRESET" });
  expect(closedLines().at(-1)).toMatchObject({ reason: "stream_lost", reached: "yes", bytes_up: 1 });
  expect(await node.metric('holdfast_streams_closed_total{reason="stream_lost"}')).toBe((lost ?? 0) + 1);
  // For a while it is known how it ended.
  expect((await failureOf(stream.resume())).code).toBe("stream_lost");
});

test("a client that answers no more is given up, and may come back", { timeout: 40_000 }, async () => {
  const stream = await open();
  // Nothing is read any more: no ping is answered, and something is owed.
  stream.socket.pause();
  stream.write("x");
  await eventually(
    async () => (await node.metric("holdfast_streams_detached")) === 1,
    "it was given up",
    30_000,
  );
  await stream.resume();
  stream.finish();
  expect(await stream.over).toBeUndefined();
  expect(stream.bytes.toString()).toBe("x");
});

describe("is refused, with no difference shown:", () => {
  const unknown = async (stream: ClientStream, claims: object) => {
    const error = await failureOf(
      askStream(node, { claims: { url: target.url, resume: stream.resumeClaim, ...claims } }),
    );
    return { code: error.code, status: error.status, detail: error.detail, reached: error.reached };
  };

  test("another client, another target, a guessed id", async () => {
    const stream = await open();
    const refusals = await Promise.all([
      unknown(stream, { sub: "mallory" }),
      unknown(stream, { url: other.url }),
      unknown(stream, { resume: { ...stream.resumeClaim, stream: newRequestId() } }),
    ]);
    expect(refusals[0]).toMatchObject({ code: "stream_unknown", status: 410 });
    expect(refusals[1]).toEqual(refusals[0]);
    expect(refusals[2]).toEqual(refusals[0]);
    // The stream itself has not noticed.
    stream.write("still here");
    stream.finish();
    expect(await stream.over).toBeUndefined();
    expect(stream.bytes.toString()).toBe("still here");
  });
});

test("impossible offsets are refused before the 101, and the stream is as it was", async () => {
  const stream = await open();
  stream.write("12345");
  await eventually(() => stream.bytes.length === 5, "it came back");
  const { stream: id } = stream.open;
  for (const [received, sent] of [
    [6, 5],
    [5, 4],
    [5, 6 + STREAM_WINDOW_BYTES],
  ]) {
    const claims = { url: target.url, resume: { stream: id, received, sent } };
    expect(await failureOf(askStream(node, { claims }))).toMatchObject({
      code: "stream_protocol",
      status: 400,
    });
  }
  stream.finish();
  expect(await stream.over).toBeUndefined();
});

test("a resume's own id is good once, it needs no slot, and no rate refuses it", async () => {
  const limits = { rate: 1, streams: 1 };
  const sub = "hasty";
  const stream = await open({ sub, limits });
  for (let i = 0; i < 5; i++) {
    stream.cut();
    await stream.resume({ limits });
  }
  const jti = newRequestId();
  stream.cut();
  await stream.resume({ limits, jti });
  stream.cut();
  expect((await failureOf(stream.resume({ limits, jti }))).code).toBe("token_replayed");
  await stream.resume({ limits });
  expect((await failureOf(open({ sub, limits }))).code).toBe("concurrency_limited");
  stream.finish();
  expect(await stream.over).toBeUndefined();
});

test("a stream goes on under its own protocol alone", async () => {
  const stream = await open();
  const claims = { url: target.url, resume: stream.resumeClaim };
  expect((await failureOf(askStream(node, { claims, protocols: [] }))).code).toBe("request_invalid");
  stream.socket.terminate();
});
