import { afterAll, beforeAll, expect, test } from "vitest";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually } from "../support/node-log.ts";
import { ClientStream } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** Streams take the edge's connections: they must leave some to the requests, whatever each client may have of them. */

let node: NodeHere;
let target: TcpTarget;
beforeAll(async () => {
  node = await startNodeHere({ tickMs: 100, maxStreams: 2 });
  target = await startTcpTarget((socket) => void socket.pipe(socket));
});
afterAll(async () => {
  await node.stop();
  await target.close();
});

test("a node carries as many streams as it may, of all clients together", async () => {
  const open = (sub: string) => ClientStream.open(node, { claims: { url: target.url, sub } });
  const [first, second] = [await open("one"), await open("two")];
  await expect(open("three")).rejects.toMatchObject({
    code: "node_full",
    status: 503,
    reached: "no",
    retryable: true,
  });
  first.finish();
  expect(await first.over).toBeUndefined();
  await eventually(async () => {
    const third = await open("three").catch(() => undefined);
    third?.finish();
    return third !== undefined;
  }, "there is room again");
  second.finish();
  expect(await second.over).toBeUndefined();
});
