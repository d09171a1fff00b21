import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CONNECTIONS_PER_ADDRESS } from "../../relay-node/limits.ts";
import { eventually } from "../support/node-log.ts";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { openRaw, parseAnswers, rawRequest, readRaw, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";

/** What anybody on the internet can do to a node without a grant. Deadlines of heads are tested with the wire's refusals. */

let node: NodeProcess;
beforeAll(async () => {
  node = await startNodeProcess();
});
afterAll(() => node.stop());

describe("a grant is judged before a body's first byte is read", () => {
  test.each([
    ["of a length that never comes", "Content-Length: 1000000", ""],
    ["in chunks that never end", "Transfer-Encoding: chunked", "5\r\nhello\r\n"],
    ["of which nothing comes at all", "Transfer-Encoding: chunked", ""],
  ])("a body %s", async (_what, framing, begun) => {
    const socket = await openRaw({ port: node.port, ca: node.ca });
    const reading = readRaw(socket, 5_000);
    const began = performance.now();
    socket.write(rawRequest("POST /fetch", ["Host: x", "Relay-Authorization: Bearer a.b.c", framing], begun));
    expectRefusal(parseAnswers(await reading)[0], "grant_invalid");
    // The node closes: what is left of such a body is not worth reading.
    expect(performance.now() - began).toBeLessThan(4_000);
  });
});

test(
  "an address has so many connections and no more; when they go, it may come again",
  { timeout: 60_000 },
  async () => {
    const from = (localAddress: string): Socket =>
      connect({ port: node.port, host: "127.0.0.1", localAddress }).on("error", () => {});
    const sockets: Socket[] = [];
    // In portions: a listener's queue is shorter than this.
    while (sockets.length < CONNECTIONS_PER_ADDRESS) {
      const portion = Array.from({ length: 200 }, () => from("127.0.0.1"));
      await Promise.all(portion.map((socket) => once(socket, "connect")));
      sockets.push(...portion);
    }
    const beyond = from("127.0.0.1");
    await once(beyond, "close");
    expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(0);

    const health = rawRequest("GET /healthz", ["Host: x", "Connection: close"]);
    const fromElsewhere = { localAddress: "127.0.0.7", ca: node.ca, servername: "localhost" };
    const other = connectTls(node.port, "127.0.0.1", fromElsewhere);
    const reading = readRaw(other);
    other.write(health);
    expect(parseAnswers(await reading)[0]?.status).toBe(200);

    for (const socket of sockets) socket.resetAndDestroy();
    // The node has to hear of four thousand ends first.
    await eventually(
      async () => (await sendRaw({ port: node.port, ca: node.ca }, health))?.status === 200,
      "it may come again",
    );
  },
);
