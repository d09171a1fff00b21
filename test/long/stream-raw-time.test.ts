import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually } from "../support/node-log.ts";
import { openRaw } from "../support/raw-stream.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** What a stream without a protocol does as time passes. The tests wait side by side, each with a target of its own. */

let node: NodeHere;
const targets: TcpTarget[] = [];
beforeAll(async () => {
  node = await startNodeHere({ tickMs: 100 });
});
afterAll(async () => {
  await node.stop();
  await Promise.all(targets.map((target) => target.close()));
});

async function openTo(serve: (socket: Socket) => void) {
  const target = await startTcpTarget(serve);
  targets.push(target);
  return {
    ...(await openRaw(node, { url: target.url })),
    there: () => target.sockets.at(-1)!,
    url: target.url,
  };
}

const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

describe.concurrent("time passes", { timeout: 60_000 }, () => {
  test("and a client may rest without a word", async () => {
    const much = Buffer.alloc(60_000_000, "y");
    const { socket, bytes, closed, there } = await openTo((one) => void one.end(much));
    socket.pause();
    let last = -1;
    await eventually(
      async () => {
        const isStill = there().bytesWritten > 0 && there().writableLength === last;
        last = there().writableLength;
        await pause(300);
        return isStill;
      },
      "it stands",
      20_000,
    );
    expect(last).toBeGreaterThan(20_000_000);
    // Longer than a question would take to be asked and given up.
    await pause(22_000);
    socket.resume();
    expect((await closed)[0]).toBe(1_000);
    expect(hash(bytes())).toBe(hash(much));
  });

  test("and the target's end waits for a client that has not read all", async () => {
    const much = Buffer.alloc(3_000_000, "z");
    const { socket, bytes, closed } = await openTo((one) => void one.end(much));
    socket.pause();
    await pause(8_000);
    socket.resume();
    expect((await closed)[0]).toBe(1_000);
    expect(hash(bytes())).toBe(hash(much));
  });

  test("and a target that never ends is cut behind the client's end", async () => {
    const { socket, there, url } = await openTo((one) => void one.resume());
    const lines = () =>
      node.log().filter(({ msg, target }) => msg === "stream closed" && target === new URL(url).host);
    socket.close(1_000);
    await eventually(() => lines().length > 0, "the stream is closed", 20_000);
    const [line] = lines();
    expect(line).toMatchObject({ reason: "done" });
    expect((line!["ms"] as { total: number }).total).toBeGreaterThan(9_000);
    // It has heard our end, so that only what it sends tells it more.
    const talking = setInterval(() => there().write("x"), 50);
    await eventually(() => there().destroyed, "the target's connection has gone");
    clearInterval(talking);
  });

  test("and silence is asked about by WebSocket's own questions", async () => {
    const { socket } = await openTo((one) => void one.pipe(one));
    await once(socket, "ping");
    await pause(6_000);
    expect(socket.readyState).toBe(socket.OPEN);
    socket.terminate();
  });
});
