import { afterAll, beforeAll, expect, test } from "vitest";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { ClientStream } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

let node: NodeHere;
let echo: TcpTarget;
beforeAll(async () => {
  node = await startNodeHere();
  echo = await startTcpTarget((socket) => socket.pipe(socket));
});
afterAll(async () => {
  await node.stop();
  await echo.close();
});

test("bytes go there and back, and both ends come to an end", async () => {
  const stream = await ClientStream.open(node, { claims: { url: echo.url } });
  stream.write("hello");
  stream.finish();
  expect(await stream.over).toBeUndefined();
  expect(stream.bytes.toString()).toBe("hello");
});
