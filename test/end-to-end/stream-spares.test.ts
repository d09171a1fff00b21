import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createSockets, type RelaySocket, type SocketsOptions } from "../../client/node/index.ts";
import type { Stack } from "../../dev/stack.ts";
import { allOf } from "../support/all-of.ts";
import { eventually, logLines } from "../support/node-log.ts";
import { freePort, testStack } from "../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** Paths that are opened ahead of streams, through workerd and real nodes. */

const EGRESS = ["127.0.0.2", "127.0.0.3"];

let stack: Stack;
let echo: TcpTarget;
let closedPort: number;
const ends: (() => void)[] = [];

beforeAll(async () => {
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  closedPort = await freePort();
  stack = await testStack({
    allow: [echo.url, `tcp://127.0.0.1:${closedPort}`],
    // What runs is let go on: here it is the paths that nobody uses yet that have to go.
    nodeConfig: { drainSeconds: 5 },
  });
}, 60_000);
afterEach(() => {
  for (const end of ends.splice(0)) end();
});
afterAll(async () => {
  await stack?.stop();
  await echo?.close();
});

/** A connection to a target that was expected, by the path that waits: it may take a moment until one does. */
async function early(port = echo.port, options?: SocketsOptions): Promise<RelaySocket> {
  const sockets = createSockets(stack.relayUrl, options);
  ends.push(sockets.expect({ host: "127.0.0.1", port }));
  let socket: RelaySocket | undefined;
  await eventually(() => {
    socket = sockets.connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    if (!socket.isEarly) socket.on("error", () => {}).destroy();
    return socket.isEarly;
  }, "a path waits");
  return socket!;
}

test.each(["edge", "direct"] as const)("by %s bytes that go ahead arrive once and in order", async (via) => {
  const sent = randomBytes(2_000_000);
  const socket = await early(echo.port, { via });
  expect(socket.connecting).toBe(true);
  const got = allOf(socket);
  for (let at = 0; at < sent.length; at += 50_000) socket.write(sent.subarray(at, at + 50_000));
  socket.end();
  const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  expect(hash(await got)).toBe(hash(sent));
  expect(EGRESS).toContain(socket.egress);
  const lines = stack.nodes.flatMap(({ id }) => logLines(stack.logs.node(id)));
  const opened = lines.filter(({ msg, mode }) => msg === "stream opened" && mode === "v1");
  expect(opened.at(-1)).toMatchObject({ client: "dev", target: `127.0.0.1:${echo.port}` });
});

test("a dial that fails is told as it is without one, and nothing was reached", async () => {
  const socket = await early(closedPort);
  socket.write("for nobody");
  const [error] = (await once(socket, "error")) as [unknown];
  expect(error).toMatchObject({ code: "connect_refused", reached: "no" });
});

test("a node that goes takes its paths with it, and streams open as ever by the next one", async () => {
  const sockets = createSockets(stack.relayUrl, { node: ["node-1", "node-2"] });
  ends.push(sockets.expect({ host: "127.0.0.1", port: echo.port }));
  for (const id of ["node-1", "node-2"]) {
    const restarted = stack.restartNode(id);
    for (let count = 0; count < 10; count++) {
      const socket = sockets.connect({ host: "127.0.0.1", port: echo.port, allowHalfOpen: true });
      await once(socket, "connect");
      socket.end("bytes");
      expect(String(await allOf(socket))).toBe("bytes");
    }
    await restarted;
  }
}, 60_000);
