import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, RelayError } from "../../protocol/errors.ts";
import { BEARER_PROTOCOL, parseStreamMessage, STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { type RequestClaims } from "../../protocol/claims.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type Answer, type FakePool, fails, idFor, page, startFakePool } from "../support/fake-pool.ts";
import { takesStream } from "../support/fake-stream.ts";
import { requestToken } from "../support/raw-caller.ts";
import { rawRequest, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";
import { openAt, openSocket, type PoolStream, streamToken } from "../support/stream-caller.ts";

const TARGET = "tcp://db.example.com:5432";
let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(60, [
    TARGET,
    "https://api.example.com",
    "https://paths.example.com/v1/*",
    "tcp://[2001:db8::1]:22",
  ]);
});
afterAll(() => pool.stop());

/** Opens a stream to the usual target. */
const open = (stream: Omit<PoolStream, "url"> & { readonly url?: string }) =>
  openAt(pool, { url: TARGET, ...stream });

describe("refused before any node is asked", () => {
  const resume = { stream: newRequestId(), received: 0, sent: 0 };
  const CASES: readonly (readonly [what: string, code: ErrorCode, url: string, Partial<RequestClaims>])[] = [
    ["another port", "target_not_allowed", "tcp://db.example.com:5433", {}],
    ["another host", "target_not_allowed", "tcp://evil.example.com:5432", {}],
    ["a target whose paths are limited", "target_not_allowed", "tcp://paths.example.com:443", {}],
    ["an https URL", "url_invalid", "https://api.example.com/", {}],
    ["no port", "url_invalid", "tcp://db.example.com", {}],
    ["a path", "url_invalid", "tcp://db.example.com:5432/x", {}],
    ["a host that is not canonical", "url_invalid", "tcp://0x7f.1:5432", {}],
    ["another method", "token_method", TARGET, { htm: "POST" }],
    ["a body", "token_framing", TARGET, { framing: 5 }],
    ["the act of another door", "token_act", TARGET, { act: "fetch" }],
    ["a resume that names no node", "request_invalid", TARGET, { resume, node: undefined as never }],
    ["a resume that names two nodes", "request_invalid", TARGET, { resume, node: ["node-1", "node-2"] }],
    ["a resume that is none", "token_malformed", TARGET, { resume: { ...resume, sent: -1 } }],
    ["a node that there isn't", "node_unknown", TARGET, { node: "node-99" }],
  ];
  test.each(CASES)("%s: %s", async (_what, code, url, claims) => {
    const before = pool.nodes.map(({ heads }) => heads);
    const { refused } = await open({ nodes: pool.nodes.slice(0, 4), url, claims });
    expect(refused).toMatchObject({ code, reached: "no" });
    expect(pool.nodes.map(({ heads }) => heads)).toEqual(before);
  });

  test("no token, and a token that is none", async () => {
    expect((await openSocket(pool.edge, {})).refused).toMatchObject({ code: "token_missing" });
    const headers = { "Relay-Authorization": "Bearer x" };
    expect((await openSocket(pool.edge, { headers })).refused).toMatchObject({ code: "token_malformed" });
  });

  const KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
  test.each([
    ["a plain GET", "GET", []],
    ["another protocol", "GET", ["Upgrade: h2c", "Connection: Upgrade, close"]],
    ["a POST", "POST", ["Content-Length: 0"]],
    [
      "another version",
      "GET",
      ["Upgrade: websocket", "Connection: Upgrade, close", "Sec-WebSocket-Version: 8", KEY],
    ],
    ["no key", "GET", ["Upgrade: websocket", "Connection: Upgrade, close", "Sec-WebSocket-Version: 13"]],
    [
      "a short key",
      "GET",
      [
        "Upgrade: websocket",
        "Connection: Upgrade, close",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: x",
      ],
    ],
  ])("%s asks for no WebSocket", async (_what, method, lines) => {
    const token = await streamToken(pool.relayUrl, TARGET);
    const fields = ["Host: x", `Relay-Authorization: Bearer ${token}`, ...lines];
    if (!lines.some((line) => line.startsWith("Connection"))) fields.push("Connection: close");
    const answer = await sendRaw(
      { port: Number(new URL(pool.edge).port) },
      rawRequest(`${method} /stream`, fields),
      2_000,
    );
    expectRefusal(answer, "upgrade_required");
  });
});

describe("a token that comes as a subprotocol", () => {
  /** Opens a stream as a browser does, and gives its first message and the code that it was closed with. */
  async function ask(nodes: readonly { readonly id: string }[], url = TARGET, protocols = [STREAM_PROTOCOL]) {
    const token = await streamToken(pool.relayUrl, url, {
      jti: idFor(nodes),
      node: nodes.map(({ id }) => id),
    });
    const socket = new WebSocket(`${pool.edge.replace("http", "ws")}/stream`, [
      ...protocols,
      `${BEARER_PROTOCOL}${token}`,
    ]);
    socket.binaryType = "arraybuffer";
    return socket;
  }
  async function firstOf(socket: WebSocket): Promise<unknown> {
    const [{ data }] = (await once(socket, "message")) as [MessageEvent];
    return typeof data === "string" ? parseStreamMessage(data) : data;
  }

  test("opens a stream, and no node is told of it", async () => {
    const [node] = pool.pair();
    const offered: (string | undefined)[] = [];
    node.upgrade = (request, ...rest) => {
      offered.push(request.headers["sec-websocket-protocol"]);
      takesStream((socket) => socket.send(Buffer.from("hello")))(request, ...rest);
    };
    const socket = await ask([node]);
    expect(Buffer.from((await firstOf(socket)) as ArrayBuffer).toString()).toBe("hello");
    expect(socket.protocol).toBe(STREAM_PROTOCOL);
    expect(offered).toEqual([STREAM_PROTOCOL]);
    socket.close();
  });

  test.each<[what: string, url: string, answer: Answer | undefined, code: ErrorCode]>([
    ["a target that is not allowed", "tcp://evil.example.com:5432", undefined, "target_not_allowed"],
    ["a node's refusal", TARGET, fails(new RelayError("dns_failed", "it says so")), "dns_failed"],
    ["a page in a node's place", TARGET, page(502), "node_failed"],
  ])("is told of %s in band", async (_what, url, answer, code) => {
    const [node] = pool.pair();
    if (answer !== undefined) node.answer = answer;
    const socket = await ask([node], url);
    const closed = once(socket, "close") as Promise<[CloseEvent]>;
    expect(await firstOf(socket)).toMatchObject({ type: "rst", code });
    const [{ code: closeCode, wasClean }] = await closed;
    expect([closeCode, wasClean]).toEqual([1_000, true]);
  });

  test("must be offered once, and beside the stream's protocol", async () => {
    const token = `${BEARER_PROTOCOL}${await streamToken(pool.relayUrl, TARGET)}`;
    for (const protocols of [[token], [STREAM_PROTOCOL, token, `${BEARER_PROTOCOL}x.y.z`]]) {
      const { refused } = await openSocket(pool.edge, { protocols });
      expect(refused).toMatchObject({ code: "request_invalid" });
    }
  });
});

test("a request token for another door opens nothing, and one for a stream makes no request", async () => {
  const fetching = await requestToken(pool.relayUrl, { htm: "GET", url: "https://api.example.com/" });
  const headers = { "Relay-Authorization": `Bearer ${fetching}` };
  expect((await openSocket(pool.edge, { headers })).refused).toMatchObject({ code: "token_act" });
  const token = await streamToken(pool.relayUrl, TARGET);
  const answer = await fetch(`${pool.edge}/fetch`, { headers: { "Relay-Authorization": `Bearer ${token}` } });
  expect(answer.headers.get("relay-error")).toBe("token_act");
});
