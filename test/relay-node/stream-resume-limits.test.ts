import { createHash, randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RelayError } from "../../protocol/errors.ts";
import { STREAM_RESUMES } from "../../relay-node/limits.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually } from "../support/node-log.ts";
import { askStream, ClientStream } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** A resume is refused by no rate of its client's, and so has bounds of its own. */

let node: NodeHere;
let target: TcpTarget;
let serve: (socket: Socket) => void = (socket) => void socket.pipe(socket);
beforeAll(async () => {
  node = await startNodeHere({ tickMs: 100 });
  target = await startTcpTarget((socket) => serve(socket));
});
afterAll(async () => {
  await node.stop();
  await target.close();
});

const open = (claims: object = {}) => ClientStream.open(node, { claims: { url: target.url, ...claims } });
const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

test("no stream is resumed without end: the one that is has to wait, and goes on", async () => {
  const stream = await open({ sub: "endless" });
  const codes: (string | undefined)[] = [];
  for (let i = 0; i < STREAM_RESUMES.burst * 2 && codes.at(-1) === undefined; i++) {
    stream.cut();
    codes.push(
      await stream.resume().then(
        () => undefined,
        (error: unknown) => (error as RelayError).code,
      ),
    );
  }
  expect(codes.at(-1)).toBe("rate_limited");
  await pause(1_000);
  await stream.resume();
  stream.finish();
  expect(await stream.over).toBeUndefined();
});

test("what is sent again counts towards its client's bytes", async () => {
  const bytes = 100_000;
  const much = randomBytes(4 * bytes);
  serve = (socket) => void socket.end(much);
  const began = performance.now();
  const stream = await open({ sub: "again", limits: { bytes } });
  stream.reads = false;
  await eventually(() => stream.end.received > bytes, "some came");
  const { stream: id, sent } = stream.resumeClaim as { stream: string; sent: number };
  stream.cut();
  for (let i = 0; i < 5; i++) {
    const resume = { stream: id, received: 0, sent };
    const { socket } = await askStream(node, { claims: { url: target.url, sub: "again", resume } });
    socket.terminate();
  }
  await stream.resume({ sub: "again" });
  stream.read();
  await eventually(() => stream.isEnded, "all came", 20_000);
  // Its own bytes, and the first second's worth five times more; a burst of one second is free.
  expect(performance.now() - began).toBeGreaterThan(7_000);
  expect(hash(stream.bytes)).toBe(hash(much));
  stream.finish();
  expect(await stream.over).toBeUndefined();
}, 40_000);
