import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { STREAM_WINDOW_BYTES } from "../../protocol/limits.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually } from "../support/node-log.ts";
import { ClientStream } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** What a node still holds of streams that are over: how they ended, and none of their bytes. */

let node: NodeHere;
let target: TcpTarget;
beforeAll(async () => {
  node = await startNodeHere();
  target = await startTcpTarget((socket) => void socket.resume());
});
afterAll(async () => {
  await node.stop();
  await target.close();
});

const STREAMS = 40;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

async function heldBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    collect();
  }
  return process.memoryUsage().arrayBuffers;
}

/** Fills a window that waits for its client's share of bytes, and gives the stream up. */
async function fillAndReset(sub: string): Promise<void> {
  const stream = await ClientStream.open(node, { claims: { url: target.url, sub, limits: { bytes: 1 } } });
  stream.write(Buffer.alloc(STREAM_WINDOW_BYTES));
  const closed = once(stream.socket, "close");
  stream.end.reset(new RelayError("stream_cancelled", "never mind"));
  await closed;
}

test("a window that was never written is gone with its stream", { timeout: 60_000 }, async () => {
  await fillAndReset("first");
  const before = await heldBytes();
  for (let i = 0; i < STREAMS; i++) await fillAndReset(`client-${i}`);
  const closed = () => node.log().filter(({ msg }) => msg === "stream closed").length;
  await eventually(() => closed() === STREAMS + 1, "all are over");
  const held = (await heldBytes()) - before;
  expect(held).toBeLessThan((STREAMS * STREAM_WINDOW_BYTES) / 4);
});
