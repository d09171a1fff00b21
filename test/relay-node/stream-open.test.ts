import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErrorCode } from "../../protocol/errors.ts";
import { STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type BlackHole, startBlackHole } from "../support/black-hole.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually } from "../support/node-log.ts";
import { openRaw, parseAnswers, rawRequest, readRaw, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";
import { freePort } from "../support/stack.ts";
import { askStream, ClientStream, failureOf } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** The node answers 101 when the target is connected, and a typed failure otherwise: how a stream comes to be, or does not. */

let node: NodeHere;
let echo: TcpTarget;
let dns: DnsServer;
let hole: BlackHole;
beforeAll(async () => {
  dns = await startDnsServer();
  dns.set("here.test", { A: ["127.0.0.1"] });
  dns.set("inside.test", { A: ["127.0.0.1", "10.0.0.1"] });
  node = await startNodeHere(undefined, { nameServers: [dns.address] });
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  hole = await startBlackHole("127.0.0.9");
});
afterAll(async () => {
  await node.stop();
  await echo.close();
  await dns.close();
  await hole.close();
});

const closed = () => node.log().filter(({ msg }) => msg === "stream closed").length;

describe("a stream that opens", () => {
  test("is connected before the 101, which says by which node and address", async () => {
    const before = echo.sockets.length;
    const jti = newRequestId();
    const stream = await ClientStream.open(node, {
      claims: { jti, url: `tcp://here.test:${echo.port}` },
    });
    expect(echo.sockets).toHaveLength(before + 1);
    expect(echo.sockets.at(-1)!.remoteAddress).toBe("127.0.0.2");
    expect(stream.head.headers).toMatchObject({
      "relay-status": "target",
      "relay-node": "node-1",
      "relay-egress": "127.0.0.2",
      "relay-request-id": jti,
      "sec-websocket-protocol": STREAM_PROTOCOL,
    });
    expect(stream.head.headers["relay-timing"]).toMatch(
      /^node_queue;dur=[\d.]+, dns;dur=[\d.]+, connect;dur=[\d.]+, connection;desc=new$/,
    );
    expect(stream.head.headers["sec-websocket-extensions"]).toBeUndefined();
    expect(stream.open).toMatchObject({ egress: "127.0.0.2", node: "node-1", received: 0 });
    stream.write("hello");
    stream.finish();
    expect(await stream.over).toBeUndefined();
    expect(stream.bytes.toString()).toBe("hello");
    const [code] = (await once(stream.socket, "close")) as [number];
    expect(code).toBe(1_000);
  });

  test("has an id of its own, whatever the request's is", async () => {
    const jti = newRequestId();
    const one = await ClientStream.open(node, { claims: { url: echo.url, jti } });
    expect(one.open.stream).not.toBe(jti);
    one.socket.terminate();
  });

  test("may be one of two hundred that open and end at once", { timeout: 60_000 }, async () => {
    const limits = { streams: 200 };
    const before = closed();
    const talk = async (index: number) => {
      const stream = await ClientStream.open(node, { claims: { url: echo.url, sub: "many", limits } });
      stream.write(`stream ${index}`);
      stream.finish();
      const error = await stream.over;
      return error?.code ?? stream.bytes.toString();
    };
    const heard = await Promise.all(Array.from({ length: 200 }, (_, index) => talk(index)));
    expect(heard).toEqual(heard.map((_, index) => `stream ${index}`));
    await eventually(() => closed() === before + 200, "all are closed");
  });

  test("keeps what came right behind the head, and while it was connecting", async () => {
    const raw = await openRaw({ port: node.port, ca: node.ca });
    const grant = node.grant({ claims: { act: "stream", url: echo.url } });
    raw.write(
      Buffer.concat([
        Buffer.from(rawRequest("GET /stream", [...HANDSHAKE, `Relay-Authorization: Bearer ${grant}`])),
        masked("early "),
      ]),
    );
    raw.write(masked("bird"));
    let seen = "";
    raw.on("data", (chunk: Buffer) => (seen += chunk.toString("latin1")));
    await eventually(() => seen.includes("early bird") || seen.includes("bird"), "it came back");
    expect(seen).toMatch(/^HTTP\/1\.1 101 /);
    expect(seen.slice(seen.indexOf("early")).replace(/[^a-z ]/g, "")).toBe("early bird");
    raw.destroy();
  });
});

const HANDSHAKE = [
  "Host: localhost",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
];

/** A binary message as a client sends it, under a mask of zeros. */
function masked(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x82, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

describe("a stream that does not open", () => {
  const claims = (changes: object) => ({ claims: { url: echo.url, ...changes } });
  const now = () => Math.floor(Date.now() / 1_000);
  const FAILED: readonly (readonly [
    what: string,
    code: ErrorCode,
    status: number,
    ask: () => object | Promise<object>,
  ])[] = [
    [
      "a port where nobody listens",
      "connect_refused",
      502,
      async () => claims({ url: `tcp://127.0.0.1:${await freePort()}` }),
    ],
    ["a name that is none", "dns_failed", 502, () => claims({ url: "tcp://nowhere.test:5432" })],
    ["an address that is refused", "address_refused", 403, () => claims({ url: "tcp://10.0.0.1:5432" })],
    ["a name with a bad address", "address_refused", 403, () => claims({ url: "tcp://inside.test:5432" })],
    ["the metadata address", "address_refused", 403, () => claims({ url: "tcp://169.254.169.254:80" })],
    ["a URL of another kind", "url_invalid", 400, () => claims({ url: "https://127.0.0.1/" })],
    ["no grant", "grant_missing", 401, () => ({ authorization: "" })],
    ["a grant that is none", "grant_invalid", 401, () => ({ authorization: "Bearer a.b.c" })],
    ["a grant for another act", "grant_invalid", 401, () => claims({ act: "fetch" })],
    ["a grant that ran out", "grant_expired", 401, () => claims({ iat: now() - 60, exp: now() - 40 })],
    ["a grant for another node", "grant_node", 403, () => claims({ aud: "node-2" })],
    [
      "a stream that is not known",
      "stream_unknown",
      410,
      () => claims({ resume: { stream: newRequestId(), received: 0, sent: 0 } }),
    ],
  ];
  test.each(FAILED)("%s: %s", async (_what, code, status, ask) => {
    const before = echo.sockets.length;
    const error = await failureOf(askStream(node, await ask()));
    expect([error.code, error.status]).toEqual([code, status]);
    expect(error.headers).toMatchObject({
      "relay-error": code,
      "relay-node": "node-1",
      connection: "close",
      "content-type": "application/problem+json",
    });
    expect(error.headers["relay-timing"]).toMatch(/^node_queue;dur=/);
    expect(echo.sockets).toHaveLength(before);
  });

  test("an id that was used, but for the edge's own next attempt", async () => {
    const jti = newRequestId();
    const pass = "AAAAAAAAAAA";
    const first = await ClientStream.open(node, claims({ jti, pass }));
    expect((await failureOf(askStream(node, claims({ jti })))).code).toBe("token_replayed");
    expect((await failureOf(askStream(node, claims({ jti, pass })))).code).toBe("token_replayed");
    const second = await ClientStream.open(node, claims({ jti, pass, attempt: 1 }));
    for (const { socket } of [first, second]) socket.terminate();
  });

  test("more streams at once than the client may have; each end makes room", async () => {
    const limited = claims({ sub: "two-at-once", limits: { streams: 2 } });
    const open = [await ClientStream.open(node, limited), await ClientStream.open(node, limited)];
    const error = await failureOf(askStream(node, limited));
    expect([error.code, error.headers["retry-after"]]).toEqual(["concurrency_limited", "1"]);
    const before = closed();
    open[0]!.finish();
    expect(await open[0]!.over).toBeUndefined();
    await eventually(() => closed() > before, "it is closed");
    const third = await ClientStream.open(node, limited);
    for (const { end } of [open[1]!, third]) end.reset(error);
  });

  test("streams and requests at once are counted apart; both count towards the rate", async () => {
    const mixed = claims({ sub: "mixed", limits: { streams: 1, concurrent: 1, rate: 2 } });
    const stream = await ClientStream.open(node, mixed);
    const refused = await failureOf(askStream(node, mixed));
    expect(refused.code).toBe("concurrency_limited");
    stream.finish();
    await stream.over;
    await eventually(async () => {
      const asked = await failureOf(
        askStream(node, { ...mixed, claims: { ...mixed.claims, url: "tcp://10.0.0.1:1" } }),
      );
      return asked.code === "rate_limited";
    }, "the rate is used up");
  });

  test("what failed gives its slot back", async () => {
    const limited = claims({ sub: "fails", limits: { streams: 1 }, url: "tcp://10.0.0.1:1" });
    for (let i = 0; i < 3; i++) {
      expect((await failureOf(askStream(node, limited))).code).toBe("address_refused");
    }
  });
});

describe("a caller that leaves while the target is being connected", () => {
  test("ends the dial, and frees the slot", async () => {
    const sub = "leaves";
    const limits = { streams: 1 };
    const grant = node.grant({
      claims: { act: "stream", sub, limits, url: `tcp://127.0.0.9:${hole.port}` },
    });
    const raw = await openRaw({ port: node.port, ca: node.ca });
    raw.write(rawRequest("GET /stream", [...HANDSHAKE, `Relay-Authorization: Bearer ${grant}`]));
    await pause(200);
    const other = { claims: { sub, limits, url: echo.url } };
    expect((await failureOf(askStream(node, other))).code).toBe("concurrency_limited");
    raw.destroy();
    const refused = () => node.log().filter((line) => line["reason"] === "answer_cut");
    await eventually(() => refused().length === 1, "the dial was given up");
    expect(refused()[0]).toMatchObject({ msg: "stream refused", client: sub, reached: "no" });
    (await ClientStream.open(node, other)).socket.terminate();
  });
});

describe("a request that asks for no WebSocket", () => {
  const ask = async (line: string, lines: readonly string[]) =>
    sendRaw({ port: node.port, ca: node.ca }, rawRequest(line, lines));
  const but = (name: string, ...more: string[]) => [
    ...HANDSHAKE.filter((field) => !field.startsWith(name)),
    ...more,
  ];

  test.each([
    ["a plain one", "GET /stream", ["Host: x", "Connection: close"]],
    ["one for another protocol", "GET /stream", but("Upgrade", "Upgrade: h2c")],
    ["one for another version", "GET /stream", but("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8")],
    ["one without a version", "GET /stream", but("Sec-WebSocket-Version")],
  ])("%s is told so", async (_what, line, lines) => {
    const answer = await ask(line, lines);
    expectRefusal(answer, "upgrade_required");
    expect(answer!.status).toBe(426);
    expect(answer!.field("upgrade")).toBe("websocket");
    expect(answer!.field("sec-websocket-version")).toBe("13");
  });

  test.each([
    ["without a key", "GET /stream", but("Sec-WebSocket-Key"), "request_invalid"],
    [
      "with a key of another length",
      "GET /stream",
      but("Sec-WebSocket-Key", "Sec-WebSocket-Key: YQ=="),
      "request_invalid",
    ],
    [
      "with a protocol twice",
      "GET /stream",
      [...HANDSHAKE, "Sec-WebSocket-Protocol: a, a"],
      "request_invalid",
    ],
    ["by another method", "POST /stream", HANDSHAKE, "method_not_allowed"],
  ] as const)("one %s is refused before its grant is looked at", async (_what, line, lines, code) => {
    expectRefusal(await ask(line, lines), code);
  });

  test("an upgrade on another path is served as if it asked for none", async () => {
    const answer = await ask("GET /healthz", [
      ...HANDSHAKE.filter((line) => !line.startsWith("Connection")),
      "Connection: Upgrade, close",
    ]);
    expect(answer?.status).toBe(200);
  });

  test("a stranger's bytes are not waited for: the answer comes at once, and the connection goes", async () => {
    const raw = await openRaw({ port: node.port, ca: node.ca });
    const reading = readRaw(raw, 4_000);
    raw.write(
      rawRequest("GET /stream", [...HANDSHAKE, "Relay-Authorization: Bearer a.b.c"]) + "x".repeat(1_000),
    );
    expectRefusal(parseAnswers(await reading)[0], "grant_invalid");
    await eventually(() => raw.destroyed || raw.readableEnded, "it is closed");
  });
});
