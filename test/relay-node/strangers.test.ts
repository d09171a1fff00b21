import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startNodeHere } from "../support/node-here.ts";
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

test("an address has so many connections and no more; when they go, it may come again", async () => {
  const most = 50;
  // None of them says a word: on a machine that is busy the first must not be closed for that before the last one comes.
  const few = await startNodeHere({ listener: { perAddress: most, headMs: 600_000 } });
  try {
    const from = async (localAddress: string): Promise<Socket> => {
      const socket = connect({ port: few.port, host: "127.0.0.1", localAddress }).on("error", () => {});
      await once(socket, "connect");
      return socket;
    };
    const sockets = await Promise.all(Array.from({ length: most }, () => from("127.0.0.1")));
    const beyond = await from("127.0.0.1");
    if (!beyond.destroyed) await once(beyond, "close");
    expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(0);

    const health = rawRequest("GET /healthz", ["Host: x", "Connection: close"]);
    const fromElsewhere = { localAddress: "127.0.0.7", ca: few.ca, servername: "localhost" };
    const other = connectTls(few.port, "127.0.0.1", fromElsewhere);
    const reading = readRaw(other);
    other.write(health);
    expect(parseAnswers(await reading)[0]?.status).toBe(200);

    for (const socket of sockets) socket.resetAndDestroy();
    // The node has to hear of their ends first, and cuts what comes before.
    const again = () => sendRaw({ port: few.port, ca: few.ca }, health).catch(() => undefined);
    await eventually(async () => (await again())?.status === 200, "it may come again");
  } finally {
    await few.stop();
  }
});
