import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { openRaw, parseAnswers, rawRequest, readRaw } from "../support/raw-http.ts";
import { type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";

/** Bytes that no client sends: what stands on the internet must take them, refuse them, and go on. */

let node: NodeProcess;
let target: CountingTarget;
let relay: RefusalStack;

beforeAll(async () => {
  [node, target, relay] = await Promise.all([startNodeProcess(), startCountingTarget(), startRefusalStack()]);
});
afterEach(async () => {
  expect([node.isAlive(), relay.isAlive()]).toEqual([true, true]);
  const [direct, relayed] = await Promise.all([node.ask({ claims: url() }), relay.ask()]);
  expect([direct?.body, relayed?.body].map((body) => body?.endsWith("ok"))).toEqual([true, true]);
});
afterAll(async () => {
  await Promise.all([node.stop(), relay.stop()]);
  await target.close();
});

const url = (path = "/x") => ({ url: `http://127.0.0.1:${target.port}${path}` });

type Said = readonly { readonly status: number; readonly code: string | undefined }[];

/** Sends bytes as they stand and tells all that came back until the peer closed, or had nothing more to say. */
async function say(peer: "node" | "edge", bytes: string): Promise<Said> {
  const socket = await openRaw(
    peer === "node" ? { port: node.port, ca: node.ca } : { port: Number(new URL(relay.stack.edge).port) },
  );
  const reading = readRaw(socket, 600, 250);
  socket.write(Buffer.from(bytes, "latin1"));
  return parseAnswers(await reading).map((answer) => ({
    status: answer.status,
    code: answer.field("relay-error") ?? answer.field("relay-status"),
  }));
}

/** A request whose token is good for a POST of three bytes, with framing of one's own and whatever follows it. */
function framed(peer: "node" | "edge", framing: readonly string[], rest: string): string {
  const signed = { htm: "POST", framing: 3 };
  const authorization =
    peer === "node"
      ? node.grant({ claims: { ...url("/smuggled"), ...signed } })
      : relay.token({ claims: signed });
  const lines = [
    "Host: localhost",
    `Relay-Authorization: Bearer ${authorization}`,
    "Relay-Envelope: 1",
    ...framing,
  ];
  return rawRequest("POST /fetch", lines, rest);
}

const SECOND = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/** How two parsers could be made to see another end of the first request, and so another second one. */
const SMUGGLED: readonly (readonly [what: string, framing: readonly string[], rest: string])[] = [
  ["a length and chunks", ["Content-Length: 3", "Transfer-Encoding: chunked"], `0\r\n\r\n${SECOND}`],
  ["chunks and a length", ["Transfer-Encoding: chunked", "Content-Length: 3"], `0\r\n\r\n${SECOND}`],
  ["two lengths", ["Content-Length: 3", "Content-Length: 0"], `abc${SECOND}`],
  ["two lengths in one field", ["Content-Length: 3, 0"], `abc${SECOND}`],
  ["a length with a sign", ["Content-Length: +3"], `abc${SECOND}`],
  ["a length in hexadecimal", ["Content-Length: 0x3"], `abc${SECOND}`],
  ["a length beyond 64 bits", ["Content-Length: 18446744073709551619"], `abc${SECOND}`],
  ["a negative length", ["Content-Length: -3"], `abc${SECOND}`],
  ["a length with a space before the colon", ["Content-Length : 3"], `abc${SECOND}`],
  ["another coding behind chunked", ["Transfer-Encoding: chunked, identity"], `0\r\n\r\n${SECOND}`],
  ["a coding that is none", ["Transfer-Encoding: xchunked"], `0\r\n\r\n${SECOND}`],
  ["a chunked behind a control", ["Transfer-Encoding: \u000bchunked"], `0\r\n\r\n${SECOND}`],
  ["a folded field", ["Transfer-Encoding:", " chunked"], `0\r\n\r\n${SECOND}`],
  ["a chunk size with a sign", ["Transfer-Encoding: chunked"], `+3\r\nabc\r\n0\r\n\r\n${SECOND}`],
  ["a chunk size in another notation", ["Transfer-Encoding: chunked"], `0x3\r\nabc\r\n0\r\n\r\n${SECOND}`],
  ["a chunk longer than its size", ["Transfer-Encoding: chunked"], `3\r\nabcdef\r\n0\r\n\r\n${SECOND}`],
  [
    "a chunk of more than 64 bits",
    ["Transfer-Encoding: chunked"],
    `10000000000000003\r\nabc\r\n0\r\n\r\n${SECOND}`,
  ],
];

describe.each(["node", "edge"] as const)("framing that two parsers read otherwise, at the %s", (peer) => {
  test.each(SMUGGLED)("%s", async (_what, framing, rest) => {
    const bodies = [...target.bodies, ...relay.target.bodies].length;
    const answers = await say(peer, framed(peer, framing, rest));
    // One request was meant to be two, or none: it is never a relayed one with another behind it.
    expect(answers.filter(({ status }) => status < 400)).toEqual([]);
    expect([...target.bodies, ...relay.target.bodies]).toHaveLength(bodies);
  });

  test("two requests on one connection are two requests", async () => {
    const answers = await say(peer, `${framed(peer, ["Content-Length: 3"], "abc")}${SECOND}`);
    expect(answers).toMatchObject([
      { status: 200, code: "target" },
      { status: 200, code: undefined },
    ]);
  });
});

/** Heads that are none, or that ask for another protocol. */
const HEADS: readonly (readonly [what: string, bytes: () => string])[] = [
  ["random bytes", () => randomBytes(4_000).toString("latin1")],
  ["nothing but line ends", () => "\r\n".repeat(1_000)],
  ["a request of HTTP/0.9", () => "GET /fetch\r\n\r\n"],
  ["the preface of HTTP/2", () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["CONNECT", () => rawRequest("CONNECT 127.0.0.1:22", ["Host: 127.0.0.1:22"])],
  [
    "CONNECT with early bytes",
    () => rawRequest("CONNECT 127.0.0.1:22", ["Host: 127.0.0.1:22"], "SSH-2.0-x\r\n"),
  ],
  [
    "a WebSocket",
    () =>
      rawRequest("GET /stream", [
        "Host: x",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
      ]),
  ],
  [
    "an upgrade to HTTP/2",
    () =>
      rawRequest("GET /fetch", [
        "Host: x",
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
      ]),
  ],
  [
    "an expectation that nobody meets",
    () =>
      rawRequest("POST /fetch", [
        "Host: x",
        "Connection: close",
        "Expect: the-impossible",
        "Content-Length: 3",
      ]),
  ],
  ["a field name with a space", () => rawRequest("GET /fetch", ["Host: x", "Bad Name: x"])],
  ["a field with a NUL", () => rawRequest("GET /fetch", ["Host: x", "X: a\0b"])],
  ["a bare carriage return", () => "GET /fetch HTTP/1.1\r\nHost: x\rX: y\r\n\r\n"],
  ["no Host", () => rawRequest("GET /fetch")],
  ["two Hosts", () => rawRequest("GET /fetch", ["Host: a", "Host: b", "Connection: close"])],
  [
    "a head of 300 kB in one field",
    () => rawRequest("POST /fetch", ["Host: x", "Connection: close", `X: ${"x".repeat(300_000)}`]),
  ],
  [
    "a head of 300 kB in many fields",
    () => rawRequest("POST /fetch", ["Host: x", ...Array.from({ length: 30_000 }, (_, i) => `X${i}: abc`)]),
  ],
  ["a request line of 300 kB", () => rawRequest(`POST /${"x".repeat(300_000)}`, ["Host: x"])],
  [
    "five thousand fields",
    () =>
      rawRequest("POST /fetch", [
        "Host: x",
        "Connection: close",
        ...Array.from({ length: 5_000 }, () => "A: 1"),
      ]),
  ],
  [
    "names that objects have",
    () =>
      rawRequest("POST /fetch", [
        "Host: x",
        "Connection: close",
        "__proto__: x",
        "constructor: y",
        "Relay-Authorization: Bearer a.b.c",
      ]),
  ],
];

describe.each(["node", "edge"] as const)("heads that are none, at the %s", (peer) => {
  test.each(HEADS)("%s", async (_what, bytes) => {
    const counts = [target.connections, relay.target.connections];
    const answers = await say(peer, bytes());
    expect(answers.filter(({ status }) => status < 400)).toEqual([]);
    expect([target.connections, relay.target.connections]).toEqual(counts);
  });
});

describe.concurrent("connections to a node that say nothing, or too little", () => {
  /** How long until the node closes a connection on which bytes trickle. */
  async function untilClosed(trickle: string, everyMs: number): Promise<number> {
    const socket = await openRaw({ port: node.port, ca: node.ca });
    const began = performance.now();
    let at = 0;
    const timer = setInterval(() => socket.write(trickle[at++ % trickle.length] ?? ""), everyMs);
    await readRaw(socket, 15_000);
    clearInterval(timer);
    return performance.now() - began;
  }

  test("a head has ten seconds, however it trickles", async () => {
    const times = await Promise.all([
      untilClosed("", 60_000),
      untilClosed("POST /fetch HTTP/1.1\r\nX: ", 200),
      untilClosed("x", 50),
    ]);
    // Garbage is told from a slow head by its first bytes.
    expect(times[2]).toBeLessThan(2_000);
    for (const ms of times.slice(0, 2)) {
      expect(ms).toBeGreaterThan(9_000);
      expect(ms).toBeLessThan(13_000);
    }
  });

  test("a handshake has ten seconds", async () => {
    const socket = connectTcp({ port: node.port, host: "127.0.0.1" }).on("error", () => {});
    await once(socket, "connect");
    const began = performance.now();
    socket.write(Buffer.from([0x16, 0x03, 0x01]));
    await readRaw(socket, 15_000);
    expect(performance.now() - began).toBeLessThan(13_000);
  });

  test("what is no TLS, and what leaves in the middle of it", async () => {
    for (const bytes of [
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      randomBytes(500),
      Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]),
    ]) {
      const socket = connectTcp({ port: node.port, host: "127.0.0.1" }).on("error", () => {});
      await once(socket, "connect");
      socket.write(bytes);
      setTimeout(() => socket.resetAndDestroy(), 50);
      const said = await readRaw(socket, 2_000);
      expect(said).not.toContain("HTTP/1.1 2");
    }
  });

  test("five hundred that come and go", async () => {
    const sockets = Array.from({ length: 500 }, () =>
      connectTcp({ port: node.port, host: "127.0.0.1" }).on("error", () => {}),
    );
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    for (const socket of sockets) socket.resetAndDestroy();
    expect((await node.get("/healthz"))?.status).toBe(200);
  });
});
