import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { createScopeToken } from "../../client/index.ts";
import type { Stack } from "../../dev/stack.ts";
import { BEARER_PROTOCOL, parseStreamMessage, STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { rankNodes } from "../../worker/nodes.ts";
import { type BlackHole, startBlackHole } from "../support/black-hole.ts";
import { EdgeStream } from "../support/edge-stream.ts";
import { eventually, logLines } from "../support/node-log.ts";
import { requestToken } from "../support/raw-caller.ts";
import { rawRequest } from "../support/raw-http.ts";
import { freePort, testStack } from "../support/stack.ts";
import { openSocket, streamToken } from "../support/stream-caller.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

const BULK_BYTES = 64 * 1_048_576;

let stack: Stack & { readonly dir: string };
/** Sends back what it is sent, and its end. */
let echo: TcpTarget;
/** Sends what its caller sends only after its caller's end. */
let patient: TcpTarget;
let closedPort: number;
let hole: BlackHole;

beforeAll(async () => {
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  patient = await startTcpTarget((socket) => {
    let said = "";
    socket.on("data", (chunk: Buffer) => (said += chunk.toString()));
    socket.on("end", () => socket.end(`you said ${said}`));
  });
  closedPort = await freePort();
  hole = await startBlackHole("127.0.0.9");
  stack = await testStack({
    nodeConfig: { drainSeconds: 5, logLevel: "debug" },
    allow: [
      echo.url,
      patient.url,
      `tcp://127.0.0.9:${hole.port}`,
      `tcp://127.0.0.1:${closedPort}`,
      "tcp://192.168.77.1:22",
    ],
  });
});
afterAll(async () => {
  await stack.stop();
  await Promise.all([echo.close(), patient.close(), hole.close()]);
});

/** An id for which this node is the first that is asked. */
function idAt(nodeId: string): string {
  for (;;) {
    const id = newRequestId();
    if (rankNodes(stack.nodes, id)[0]!.id === nodeId) return id;
  }
}

/** Whether a node has written down that an id is used. */
function isUsed(id: string): boolean {
  const dir = join(stack.dir, "node-1/state");
  return readdirSync(dir).some((file) => readFileSync(join(dir, file), "utf8").includes(id));
}

async function open(url: string, claims: Parameters<typeof streamToken>[2] = {}) {
  const received: Buffer[] = [];
  const stream = await EdgeStream.open(
    stack.relayUrl,
    url,
    (chunk) => received.push(Buffer.from(chunk)),
    claims,
  );
  return { stream, text: () => Buffer.concat(received).toString() };
}

describe("under the protocol", () => {
  test("64 MB go there and back, and not a byte differs", async () => {
    const [there, back] = [createHash("sha256"), createHash("sha256")];
    let bytes = 0;
    const stream = await EdgeStream.open(stack.relayUrl, echo.url, (chunk) => {
      back.update(chunk);
      bytes += chunk.length;
    });
    const block = randomBytes(1_048_576);
    for (let sent = 0; sent < BULK_BYTES; sent += block.length) {
      block.writeUInt32BE(sent);
      there.update(block);
      await stream.write(block);
    }
    stream.end.finish();
    expect(await stream.over).toBeUndefined();
    expect(bytes).toBe(BULK_BYTES);
    expect(back.digest("hex")).toBe(there.digest("hex"));
  }, 120_000);

  test("one side ends before the other", async () => {
    const { stream, text } = await open(patient.url);
    await stream.write(Buffer.from("hello"));
    stream.end.finish();
    expect(await stream.over).toBeUndefined();
    expect(text()).toBe("you said hello");
  });

  test("the target sees the address that is told", async () => {
    const before = echo.sockets.length;
    const { stream } = await open(echo.url, { node: "node-2" });
    expect(stream.open).toMatchObject({ node: "node-2", egress: "127.0.0.3" });
    expect(echo.sockets[before]!.remoteAddress).toBe("127.0.0.3");
    await stream.close();
  });

  test("a stream goes on at its node over another connection", async () => {
    const { stream, text } = await open(patient.url, { node: "node-1" });
    await stream.write(Buffer.from("hel"));
    const { stream: id, node } = stream.open;
    stream.socket.terminate();
    stream.end.detach();
    const resume = { stream: id, received: stream.end.received, sent: stream.end.sent };
    const token = await streamToken(stack.relayUrl, patient.url, { node, resume });
    const { socket, inbox } = await openSocket(stack.edge, {
      protocols: [STREAM_PROTOCOL],
      headers: { "Relay-Authorization": `Bearer ${token}` },
    });
    const again = parseStreamMessage((await inbox!.next()).toString());
    if (again.type !== "open") throw new Error("the first message is not open");
    expect(again.stream).toBe(id);
    stream.end.attach({ send: (message) => socket!.send(message) }, again.received);
    inbox!.listen((message) => stream.end.receive(message));
    await stream.write(Buffer.from("lo"));
    stream.end.finish();
    expect(await stream.over).toBeUndefined();
    expect(text()).toBe("you said hello");
  });

  test.each([
    ["a port that nobody listens on", () => `tcp://127.0.0.1:${closedPort}`, "connect_refused"],
    ["a private address", () => "tcp://192.168.77.1:22", "address_refused"],
    ["a target that is not allowed", () => "tcp://127.0.0.1:1", "target_not_allowed"],
  ])("%s is told of as %s says", async (_what, url, code) => {
    await expect(open(url())).rejects.toMatchObject({ code, reached: "no" });
  });

  test("a token opens one stream", async () => {
    const token = await streamToken(stack.relayUrl, echo.url);
    const ask = () => openSocket(stack.edge, { headers: { "Relay-Authorization": `Bearer ${token}` } });
    const { socket } = await ask();
    socket!.close();
    expect((await ask()).refused).toMatchObject({ code: "token_replayed" });
  });
});

describe("without it", () => {
  test.each(["scope token", "handle"])("bytes go there and back under a %s", async (kind) => {
    const token = await createScopeToken(stack.relayUrl, {
      act: "stream",
      allow: [echo.url],
      ttlSeconds: 60,
    });
    let credential = token;
    if (kind === "handle") {
      const { value } = await adminCall(stack.operator, "POST", "/admin/handles", { body: { token } });
      credential = (value as { handle: string }).handle;
    }
    const address = echo.url.slice("tcp://".length);
    const { socket, inbox } = await openSocket(stack.edge, {
      path: `/stream/${credential}?address=${address}`,
    });
    const sent = randomBytes(300_000);
    socket!.send(sent);
    const got: Buffer[] = [];
    for (let bytes = 0; bytes < sent.length; bytes += got.at(-1)!.length) {
      got.push((await inbox!.next()) as Buffer);
    }
    expect(Buffer.concat(got).equals(sent)).toBe(true);
    const ended = once(echo.sockets.at(-1)!, "close");
    socket!.close();
    await ended;
    const other = await openSocket(stack.edge, { path: `/stream/${credential}?address=127.0.0.1:1` });
    expect(other.refused).toMatchObject({ code: "target_not_allowed" });
  });
});

describe("a token as a subprotocol", () => {
  async function ask(url: string) {
    const token = await streamToken(stack.relayUrl, url);
    const socket = new WebSocket(`${stack.edge.replace("http", "ws")}/stream`, [
      STREAM_PROTOCOL,
      `${BEARER_PROTOCOL}${token}`,
    ]);
    const [{ data }] = (await once(socket, "message")) as [MessageEvent<string>];
    return { socket, first: parseStreamMessage(data) };
  }

  test("opens a stream", async () => {
    const { socket, first } = await ask(echo.url);
    expect(first.type).toBe("open");
    socket.close();
  });

  test("is told of a dial that failed in band", async () => {
    const { first } = await ask(`tcp://127.0.0.1:${closedPort}`);
    expect(first).toMatchObject({ type: "rst", code: "connect_refused" });
  });
});

describe("a caller that goes away in mid-dial takes the dial with it", () => {
  const fates: readonly (readonly [
    how: string,
    leave: (caller: Socket, jti: string) => Promise<unknown> | void,
  ])[] = [
    ["by breaking off", (caller) => void caller.resetAndDestroy()],
    [
      "by saying so",
      async (_caller, jti) => {
        const url = `tcp://127.0.0.9:${hole.port}`;
        const token = await requestToken(stack.relayUrl, { act: "cancel", htm: "GET", url, jti });
        const headers = { "Relay-Authorization": `Bearer ${token}` };
        expect((await fetch(`${stack.edge}/cancel`, { method: "POST", headers })).status).toBe(204);
      },
    ],
  ];
  test.each(fates)("%s", async (_how, leave) => {
    const jti = newRequestId();
    const token = await streamToken(stack.relayUrl, `tcp://127.0.0.9:${hole.port}`, { jti, node: "node-1" });
    const caller = connect(Number(new URL(stack.edge).port), "127.0.0.1").on("error", () => {});
    caller.write(
      rawRequest("GET /stream", [
        "Host: x",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        `Relay-Authorization: Bearer ${token}`,
      ]),
    );
    // Its id is used up right before the dial.
    await eventually(() => isUsed(jti), "the node dials");
    await leave(caller, jti);
    const line = () => logLines(stack.logs.node("node-1")).find((one) => one["jti"] === jti);
    await eventually(() => line() !== undefined, "the node's line is written", 20_000);
    expect(line()).toMatchObject({ msg: "stream refused", reason: "answer_cut", reached: "no" });
    caller.destroy();
  });
});

describe("another node opens it where the first", () => {
  test("was killed", async () => {
    stack.process("node-1").kill("SIGKILL");
    const { stream } = await open(echo.url, { jti: idAt("node-1") });
    expect(stream.open.node).toBe("node-2");
    await stream.close();
    await stack.restartNode("node-1");
  });

  test("drains, and what the first has goes on meanwhile", async () => {
    const { stream: before, text } = await open(patient.url, { node: "node-2" });
    await before.write(Buffer.from("before"));
    stack.process("node-2").kill("SIGTERM");
    const { stream: after } = await open(echo.url, { jti: idAt("node-2") });
    expect(after.open.node).toBe("node-1");
    before.end.finish();
    expect(await before.over).toBeUndefined();
    expect(text()).toBe("you said before");
    await after.close();
  });
});
