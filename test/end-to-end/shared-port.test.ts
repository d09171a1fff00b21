import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createRelay, relayInfo } from "../../client/index.ts";
import { createScopeToken } from "../../client/scope.ts";
import type { Stack } from "../../dev/stack.ts";
import { readHead } from "../support/proxy-node.ts";
import { openRaw, rawRequest } from "../support/raw-http.ts";
import { freePort, testStack } from "../support/stack.ts";

/** Two nodes of one host: one address, and one port for the proxy door of both. */

const EGRESS = "127.0.0.2";

let stack: Stack & { readonly dir: string };
let door: number;
let login: string;
const seen: string[] = [];
const echo = createServer((socket) => {
  seen.push(socket.remoteAddress!);
  socket.on("error", () => {}).pipe(socket);
});
beforeAll(async () => {
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  door = await freePort();
  const proxy = { http: door, reusePort: true };
  stack = await testStack({
    allow: [target()],
    nodes: [
      { id: "node-1", port: await freePort(), egress: EGRESS, proxy },
      { id: "node-2", port: await freePort(), egress: EGRESS, proxy },
    ],
  });
  const token = await createScopeToken(stack.relayUrl, { act: "proxy", allow: [target()], ttlSeconds: 600 });
  login = `Proxy-Authorization: Basic ${Buffer.from(`dev:${token}`).toString("base64")}`;
});
afterAll(async () => {
  await stack.stop();
  echo.close();
});

const authority = () => `127.0.0.1:${(echo.address() as AddressInfo).port}`;
const target = () => `tcp://${authority()}`;

interface Tunnel {
  readonly socket: Socket;
  readonly node: string;
  readonly egress: string;
}

async function open(): Promise<Tunnel> {
  const socket = await openRaw({ port: door });
  socket.write(rawRequest(`CONNECT ${authority()}`, [`Host: ${authority()}`, login]));
  const head = await readHead(socket);
  expect(head).toMatch(/^HTTP\/1\.1 200 /);
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1] ?? "";
  return { socket, node: field("relay-node"), egress: field("relay-egress") };
}

/** So many, one after the other: how they are shared out is the system's to say. */
async function openMany(count: number): Promise<Tunnel[]> {
  const tunnels: Tunnel[] = [];
  for (let at = 0; at < count; at++) tunnels.push(await open());
  return tunnels;
}

async function carries({ socket }: Tunnel): Promise<boolean> {
  socket.write("through");
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString() === "through";
}

test("both take connections of one port, leave from one address, and outlive each other", async () => {
  const tunnels = await openMany(40);
  expect(new Set(tunnels.map(({ node }) => node))).toEqual(new Set(["node-1", "node-2"]));
  expect(new Set(tunnels.map(({ egress }) => egress))).toEqual(new Set([EGRESS]));
  expect(new Set(seen)).toEqual(new Set([EGRESS]));

  const gone = once(stack.process("node-1"), "exit");
  stack.process("node-1").kill("SIGKILL");
  await gone;
  const stays = tunnels.find(({ node }) => node === "node-2")!;
  expect(await carries(stays)).toBe(true);
  const later = await openMany(10);
  expect(new Set(later.map(({ node }) => node))).toEqual(new Set(["node-2"]));

  await stack.restartNode("node-1");
  const again = await openMany(40);
  expect(new Set(again.map(({ node }) => node))).toEqual(new Set(["node-1", "node-2"]));
  for (const { socket } of [...tunnels, ...later, ...again]) socket.destroy();
});

test("the edge takes both for nodes of one address, and a request leaves by either", async () => {
  const list = await fetch(`${stack.edge}/.well-known/egress.json`);
  const { addresses } = (await list.json()) as { addresses: { node: string; address: string }[] };
  expect(addresses.map(({ node, address }) => [node, address])).toEqual([
    ["node-1", EGRESS],
    ["node-2", EGRESS],
  ]);
  const relay = createRelay(stack.relayUrl);
  const nodes = new Set<string>();
  for (let at = 0; at < 20; at++) {
    const response = await relay.fetch(`${stack.target}/`);
    nodes.add(relayInfo(response)?.node ?? "");
    await response.arrayBuffer();
  }
  expect(nodes).toEqual(new Set(["node-1", "node-2"]));
});

test("a node that may not share its port doesn't start beside one that listens there", async () => {
  const plain = createServer();
  plain.listen({ port: door, host: "127.0.0.1" });
  const [error] = (await once(plain, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("EADDRINUSE");
});
