import { once } from "node:events";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { adminCall } from "../../client/admin.ts";
import { createScopeToken } from "../../client/index.ts";
import { untilInService } from "../../dev/in-service.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { readNodeConfig } from "../../relay-node/config.ts";
import { RelayNode } from "../../relay-node/node.ts";
import { EdgeStream } from "../support/edge-stream.ts";
import { readHead } from "../support/proxy-node.ts";
import { openRaw, rawRequest } from "../support/raw-http.ts";
import { freePort, testStack } from "../support/stack.ts";
import { openSocket } from "../support/stream-caller.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** What is open at a node ends when an operator revokes what it was opened by, through a real edge. */

/** How long it may take, of a node that asks every 200 ms. */
const SOON_MS = 15_000;

let stack: Awaited<ReturnType<typeof testStack>>;
/** The stack's one node, in this process, where its times can be set. */
let node: RelayNode;
let echo: TcpTarget;
let proxyPort: number;

beforeAll(async () => {
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  const port = await freePort();
  proxyPort = await freePort();
  const proxy = { https: await freePort(), http: proxyPort, socks5: await freePort() };
  stack = await testStack({
    allow: [echo.url],
    nodes: [{ id: "node-1", port, egress: "127.0.0.2", proxy }],
  });
  const child = stack.process("node-1");
  child.kill("SIGTERM");
  await once(child, "exit");
  const config = readNodeConfig(join(stack.dir, "node-1/node.json"));
  node = await RelayNode.start(config, pino({ level: "silent" }), { revocationsMs: 200, tickMs: 100 });
  await untilInService(stack.nodes[0]!, stack.keys.ca);
}, 60_000);
afterAll(async () => {
  await node?.close();
  await stack?.stop();
  await echo?.close();
});

interface Client {
  readonly id: string;
  readonly relayUrl: string;
  readonly publicJwk: object;
}

/** Registers a client; its address, and its key for the record. */
async function newClient(id: string): Promise<Client> {
  const { publicJwk, privateKey } = await generateClientKey();
  const body = { id, keys: [publicJwk], allow: [echo.url] };
  await adminCall(stack.operator, "PUT", `/admin/clients/${id}`, { body });
  return { id, publicJwk, relayUrl: stack.edge.replace("//", `//${id}:${privateKey}@`) };
}

const scopeToken = ({ relayUrl }: Client, act: "stream" | "proxy") =>
  createScopeToken(relayUrl, { act, allow: [echo.url], ttlSeconds: 600 });

async function newHandle(token: string): Promise<{ id: string; handle: string }> {
  const { value } = await adminCall(stack.operator, "POST", "/admin/handles", { body: { token } });
  return value as { id: string; handle: string };
}

/** A bare stream by what stands in a URL. */
async function bareStream(credential: string): Promise<WebSocket> {
  const path = `/stream/${credential}?address=127.0.0.1:${echo.port}`;
  const { socket, inbox } = await openSocket(stack.edge, { path });
  socket!.send(Buffer.from("echo"));
  expect(await inbox!.next()).toEqual(Buffer.from("echo"));
  return socket!;
}

/** How a WebSocket was closed, where that was soon. */
async function closing(socket: WebSocket): Promise<string> {
  const [, reason] = (await once(socket, "close", { signal: AbortSignal.timeout(SOON_MS) })) as [
    number,
    Buffer,
  ];
  return reason.toString();
}

describe("a stream ends", () => {
  test("when its handle is revoked, and another one goes on", async () => {
    const client = await newClient("by-handle");
    const token = await scopeToken(client, "stream");
    const [one, two] = [await newHandle(token), await newHandle(token)];
    const [first, second] = [await bareStream(one.handle), await bareStream(two.handle)];
    const closed = closing(first);
    await adminCall(stack.operator, "DELETE", `/admin/handles/${one.id}`);
    expect(await closed).toBe("revoked");
    expect(second.readyState).toBe(second.OPEN);
    second.close();
  });

  test("when its scope token is revoked, as does that of a handle for it", async () => {
    const token = await scopeToken(await newClient("by-token"), "stream");
    const { handle } = await newHandle(token);
    const closed = [closing(await bareStream(token)), closing(await bareStream(handle))];
    await adminCall(stack.operator, "POST", "/admin/revocations", { body: { token } });
    expect(await Promise.all(closed)).toEqual(["revoked", "revoked"]);
  });

  test("when the key that signed for it is removed, and one by the other key goes on", async () => {
    const { id, relayUrl, publicJwk } = await newClient("by-key");
    const next = await generateClientKey();
    const record = { id, allow: [echo.url] };
    const path = `/admin/clients/${id}`;
    const both = { body: { ...record, keys: [publicJwk, next.publicJwk] }, ifMatch: '"1"' };
    await adminCall(stack.operator, "PUT", path, both);
    const nextUrl = stack.edge.replace("//", `//${id}:${next.privateKey}@`);
    const stream = await EdgeStream.open(relayUrl, echo.url, () => {});
    const other = await EdgeStream.open(nextUrl, echo.url, () => {});
    await adminCall(stack.operator, "PUT", path, {
      body: { ...record, keys: [next.publicJwk] },
      ifMatch: '"2"',
    });
    expect(await stream.over).toMatchObject({ code: "revoked", reached: "yes" });
    other.end.finish();
    expect(await other.over).toBeUndefined();
  });

  test("when its client is removed", async () => {
    const { id, relayUrl } = await newClient("by-client");
    const stream = await EdgeStream.open(relayUrl, echo.url, () => {});
    await adminCall(stack.operator, "DELETE", `/admin/clients/${id}`, { ifMatch: '"1"' });
    expect(await stream.over).toMatchObject({ code: "revoked", reached: "yes" });
  });
});

test("a tunnel ends when the handle in its proxy's URL is revoked", async () => {
  const { id, handle } = await newHandle(await scopeToken(await newClient("by-proxy"), "proxy"));
  const socket = await openRaw({ port: proxyPort });
  const authority = `127.0.0.1:${echo.port}`;
  const login = Buffer.from(`by-proxy:${handle}`).toString("base64");
  socket.write(
    rawRequest(`CONNECT ${authority}`, [`Host: ${authority}`, `Proxy-Authorization: Basic ${login}`]),
  );
  expect(await readHead(socket)).toContain("HTTP/1.1 200 ");
  socket.on("error", () => {}).resume();
  const closed = new Promise((done) => void socket.once("close", () => done("closed")));
  await adminCall(stack.operator, "DELETE", `/admin/handles/${id}`);
  expect(await closed).toBe("closed");
});
