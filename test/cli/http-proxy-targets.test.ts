import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalProxies, startLocalProxies } from "../../cli/agent/local-proxies.ts";
import { proxyCredentials } from "../../client/node/proxy/credentials.ts";
import { createOpener } from "../../client/node/opener.ts";
import { type RawAnswer, rawRequest, sendRaw } from "../support/raw-http.ts";
import { startStreamRelay, type StreamRelay } from "../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** What targets do to a plain request, in place of answering it properly. */
const MISDEEDS: Record<string, (socket: Socket) => void> = {
  "closes before it answers": (socket) => socket.end(),
  "resets before it answers": (socket) => socket.resetAndDestroy(),
  "answers no HTTP": (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"),
  "ends in its head": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Le"),
  "resets in its head": (socket) => socket.write("HTTP/1.1 200 OK\r\nX", () => socket.resetAndDestroy()),
  "has an endless head": (socket) => socket.end(`HTTP/1.1 200 OK\r\nX: ${"a".repeat(200_000)}`),
  "has a field with a control": (socket) => socket.end("HTTP/1.1 200 OK\r\nX: a\x01b\r\n\r\n"),
  "switches protocols unasked": (socket) =>
    socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
};

/** Those whose head is in order: what comes behind it is cut. */
const CUTS: Record<string, (socket: Socket) => void> = {
  "ends in its body": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf!"),
  "resets in its body": (socket) =>
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf!", () => socket.resetAndDestroy()),
  "ends in a chunk": (socket) =>
    socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\n5\r\nx"),
  "has a chunk without a size": (socket) =>
    socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\nzz\r\n"),
};

const credentials = proxyCredentials();
const LOGIN = Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64");

let relay: StreamRelay;
let target: TcpTarget;
let misdeed: (socket: Socket) => void;
const proxies: LocalProxies[] = [];

beforeAll(async () => {
  relay = await startStreamRelay();
  target = await startTcpTarget((socket) => socket.once("data", () => misdeed(socket)));
  const options = { open: createOpener(relay.url), destinations: [], credentials };
  for (const hosts of [["127.0.0.1"], []]) proxies.push(await startLocalProxies({ ...options, hosts }));
});
afterAll(async () => {
  await Promise.all(proxies.map((one) => one.close()));
  await Promise.all([relay.close(), target.close()]);
});

/** One request by a proxy of its own kind. */
function ask(way: number): Promise<RawAnswer | undefined> {
  const host = `127.0.0.1:${target.port}`;
  const fields = [`Host: ${host}`, `Proxy-Authorization: Basic ${LOGIN}`, "Connection: close"];
  const { port } = new URL(proxies[way]!.urls.http);
  return sendRaw({ port: Number(port) }, rawRequest(`GET http://${host}/`, fields));
}

describe.each([
  ["by the relay", 0],
  ["past the relay", 1],
])("a target %s", (_, way) => {
  test.each(Object.entries(MISDEEDS))("that %s is told as that", async (_name, does) => {
    misdeed = does;
    const answered = await ask(way);
    expect(answered?.status).toBe(502);
    expect(answered?.field("relay-reached")).not.toBe("no");
    expect(answered?.body).toMatch(/^holdfast: target_(closed|reset|protocol): .+\n$/);
  });

  test.each(Object.entries(CUTS))("that %s has a cut answer", async (_name, does) => {
    misdeed = does;
    const answered = await ask(way).catch(() => undefined);
    expect(answered?.field("relay-error")).toBeUndefined();
    expect(answered?.body ?? "").not.toBe("half!half!");
  });

  test("that answers with bytes beyond ASCII is passed on byte for byte", async () => {
    const answer = "HTTP/1.1 200 K\xe4se\r\nX-Name: Zo\xeb\r\nContent-Length: 2\r\n\r\nok";
    misdeed = (socket) => socket.end(Buffer.from(answer, "latin1"));
    const answered = await ask(way);
    expect([answered?.status, answered?.field("x-name"), answered?.body]).toEqual([200, "Zo\xeb", "ok"]);
  });
});
