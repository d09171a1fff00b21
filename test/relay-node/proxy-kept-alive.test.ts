import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/node-log.ts";
import { connectRequest, LOGIN, type ProxyNode, startProxyNode } from "../support/proxy-node.ts";
import { parseAnswers, type RawAnswer, rawRequest, readRaw } from "../support/raw-http.ts";

/** Connections of the proxy door that carry more than one request: each is judged as strictly as the first. */

let node: ProxyNode;
let server: Server;
let host: string;
const bodies: string[] = [];
beforeAll(async () => {
  node = await startProxyNode();
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("error", () => {});
    request.on("end", () => {
      bodies.push(body);
      response.end(`${request.method} ${request.url}`);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await node.stop();
  server.close();
  server.closeAllConnections();
});

const get = (path: string, line = `GET http://${host}${path}`) => rawRequest(line, [`Host: ${host}`, LOGIN]);
const post = (body: string, framing: string) =>
  rawRequest(`POST http://${host}/post`, [`Host: ${host}`, LOGIN, framing], body);

/** Sends each as soon as the one before was answered. */
async function inTurn(...requests: readonly string[]): Promise<RawAnswer[]> {
  const socket = await node.connect();
  let said = "";
  socket.on("data", (chunk: Buffer) => (said += chunk.toString("latin1")));
  const gone = new Promise<void>((done) => void socket.once("close", () => done()));
  for (const [index, request] of requests.entries()) {
    socket.write(request);
    const answered = new Promise<void>((done) => {
      const look = () => {
        if (parseAnswers(said).length <= index) return;
        socket.off("data", look);
        done();
      };
      socket.on("data", look);
    });
    await Promise.race([answered, gone]);
  }
  socket.destroy();
  return parseAnswers(said);
}

/** What would have ended a process of the node's own meanwhile. */
async function whileHearing(work: () => Promise<void>): Promise<unknown[]> {
  const uncaught: unknown[] = [];
  const hear = (error: unknown) => uncaught.push(error);
  process.on("uncaughtException", hear);
  await work().finally(() => process.off("uncaughtException", hear));
  return uncaught;
}

const told = (answers: readonly RawAnswer[]) =>
  answers.map((answer) => answer.field("relay-error") ?? answer.body);

describe("a later request of a connection", () => {
  test("is taken where it is in order", async () => {
    const answers = await inTurn(get("/1"), post("hello", "Content-Length: 5"), get("/2"), get("/3"));
    expect(told(answers)).toEqual(["GET /1", "POST /post", "GET /2", "GET /3"]);
  });

  test.each([
    [
      "behind another",
      () => [get("/1"), get("/2").replace(" http", "  http")],
      ["GET /1", "request_invalid"],
    ],
    [
      "behind a body",
      () => [post("hello", "Content-Length: 5"), get("/2").replace(" http", "  http")],
      ["POST /post", "request_invalid"],
    ],
    ["a CONNECT", () => [get("/1"), get("/2", `CONNECT  ${host}`)], ["GET /1", "request_invalid"]],
    [
      "with another Host",
      () => [get("/1"), get("/2").replace(/Host: .*/, "Host: b")],
      ["GET /1", "request_invalid"],
    ],
  ])("is refused where it is not: %s", async (_what, requests, expected) => {
    expect(told(await inTurn(...requests()))).toEqual(expected);
  });

  test("may be a CONNECT", async () => {
    const socket = await node.connect();
    socket.write(get("/1"));
    await once(socket, "data");
    socket.write(
      connectRequest(`tcp://${host}`) + rawRequest("GET /inside", ["Host: x", "Connection: close"]),
    );
    const said = await readRaw(socket);
    expect(said).toMatch(/^HTTP\/1\.1 200 Connection established\r\n/);
    expect(said).toMatch(/GET \/inside$/);
  });
});

describe("a body that can't be read", () => {
  test.each([
    ["a bare line feed behind a chunk's size", "5\nhello\r\n0\r\n\r\n"],
    ["a bare line feed behind a chunk", "5\r\nhello\n0\r\n\r\n"],
    ["a bare line feed in an extension", "5;a=b\nhello\r\n0\r\n\r\n"],
    ["a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"],
    ["a size in C's hex", "0x5\r\nhello\r\n0\r\n\r\n"],
    ["a size beyond all", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
    ["a chunk that is longer than its size", "5\r\nhello!!\r\n0\r\n\r\n"],
    ["a folded trailer", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"],
  ])("%s: refused, and the target has no whole one", async (_what, body) => {
    const before = bodies.length;
    const answer = await node.ask(post(body, "Transfer-Encoding: chunked"));
    expect(answer?.status).toBe(400);
    expect(answer?.field("relay-error")).toBe("request_invalid");
    expect(bodies.length).toBe(before);
    await eventually(async () => (await node.metric("holdfast_requests_active")) === 0, "it is over");
    expect(bodies.length).toBe(before);
  });
});

test("a body that can't be read ends nobody else, where it was sent before it was asked for", async () => {
  const uncaught = await whileHearing(async () => {
    // From now on a connection to the target is warm.
    await inTurn(get("/1"));
    const before = bodies.length;
    const fields = ["Transfer-Encoding: chunked", "Expect: 100-continue"];
    const answer = await node.ask(post("zz\r\n", fields.join("\r\n")), "https");
    expect(answer?.field("relay-error")).toBe("request_invalid");
    await eventually(async () => (await node.metric("holdfast_requests_active")) === 0, "it is over");
    expect(bodies.length).toBe(before);
  });
  expect(uncaught).toEqual([]);
});

test("a resting connection is closed when the node takes no more", async () => {
  const other = await startProxyNode(undefined, { drainSeconds: 2 });
  const socket: Socket = await other.connect();
  const gone = new Promise<void>((done) => void socket.once("close", () => done()));
  socket.write(get("/1"));
  await once(socket, "data");
  const draining = other.relay.drain();
  const began = performance.now();
  socket.resume();
  await gone;
  // The drain itself takes its two seconds.
  expect(performance.now() - began).toBeLessThan(1_500);
  await draining;
  await other.stop();
});

describe("a user that resets its connection at once", () => {
  const upgrade = rawRequest("GET /.well-known/masque/tcp/127.0.0.1/9/", [
    "Host: x",
    "Connection: Upgrade",
    "Upgrade: connect-tcp",
  ]);
  const refused = rawRequest("GET /", ["Host: x"]);

  test.each([
    ["a CONNECT behind what was refused", () => refused + connectRequest("tcp://127.0.0.1:9")],
    ["an upgrade behind what was refused", () => refused + upgrade],
    ["a CONNECT behind a request", () => get("/1") + connectRequest("tcp://127.0.0.1:9")],
    ["no HTTP behind what was refused", () => `${refused}\0\0\r\n\r\n`],
    ["a CONNECT that is refused", () => connectRequest("tcp://user@127.0.0.1:9")],
    ["a first line that is refused", () => `  ${connectRequest("tcp://127.0.0.1:9")}`],
  ])("ends nobody else: %s", async (_what, bytes) => {
    const uncaught = await whileHearing(async () => {
      for (let round = 0; round < 5; round++) {
        const socket = await node.connect();
        socket.write(bytes());
        // What it has sent is still read, and every answer fails.
        socket.resetAndDestroy();
      }
      expect(await inTurn(get("/after"))).toMatchObject([{ status: 200 }]);
    });
    expect(uncaught).toEqual([]);
  });
});
