import { once } from "node:events";
import { SocksClient } from "socks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listensAt } from "../../relay-node/proxy/proxy-door.ts";
import { CAPSULE, CapsuleDecoder, capsuleHead } from "../../protocol/capsules.ts";
import { eventually } from "../support/node-log.ts";
import { handleOf, LOGIN, type ProxyNode, readHead, startProxyNode } from "../support/proxy-node.ts";
import { rawRequest } from "../support/raw-http.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** SOCKS 5 and connect-tcp where a node listens for them, with the edge that it asks. */

let node: ProxyNode;
let echo: TcpTarget;
beforeAll(async () => {
  node = await startProxyNode({ tickMs: 100 });
  echo = await startTcpTarget((socket) => void socket.pipe(socket));
});
afterAll(async () => {
  await node.stop();
  await echo.close();
});

const strangers = () => node.metric("holdfast_proxy_strangers");

function bySocks(password: string) {
  return SocksClient.createConnection({
    proxy: { host: "127.0.0.1", port: node.ports.socks5, type: 5, userId: "app", password },
    command: "connect",
    destination: { host: "127.0.0.1", port: echo.port },
  });
}

test("the log tells where the doors are", () => {
  const http = { host: "0.0.0.0", port: 9293 };
  expect(listensAt({ http, socks5: { host: "::1", port: 1080 } })).toEqual({
    http: "0.0.0.0:9293",
    socks5: "[::1]:1080",
  });
  expect(listensAt(undefined)).toBeUndefined();
});

test("SOCKS 5: a handle is a password, and the edge is asked", async () => {
  const { socket } = await bySocks(handleOf("app"));
  expect(node.asked.at(-1)).toEqual({ user: "app", credential: handleOf("app"), target: echo.url });
  expect([await node.metric("holdfast_proxy_connections"), await strangers()]).toEqual([1, 0]);
  socket.resume().write("through the node");
  const [chunk] = (await once(socket, "data")) as [Buffer];
  expect(chunk.toString()).toBe("through the node");
  socket.destroy();
});

test("SOCKS 5: a handle of nobody's is refused with the request", async () => {
  await expect(bySocks(handleOf("nobody"))).rejects.toThrow(/NotAllowed/);
});

test.each(["http", "https"] as const)("connect-tcp, %s: a tunnel is opened and ends", async (way) => {
  const user = await node.connect(way);
  user.write(
    rawRequest(`GET /.well-known/masque/tcp/127.0.0.1/${echo.port}/`, [
      "Host: proxy.example.com",
      "Connection: Upgrade",
      "Upgrade: connect-tcp",
      "Capsule-Protocol: ?1",
      LOGIN,
    ]),
  );
  expect(await readHead(user)).toMatch(/^HTTP\/1\.1 101 /);
  expect(await strangers()).toBe(0);
  const decoder = new CapsuleDecoder();
  let heard = "";
  user.on("data", (chunk: Buffer) => {
    for (const piece of decoder.decode(chunk)) heard += Buffer.from(piece).toString();
  });
  user.write(
    Buffer.concat([capsuleHead(CAPSULE.data, 5), Buffer.from("all, "), capsuleHead(CAPSULE.finalData, 3)]),
  );
  user.write("end");
  await once(user, "end");
  expect([heard, decoder.isFinal]).toEqual(["all, end", true]);
  await eventually(
    () =>
      node
        .log()
        .some(
          ({ msg, mode, reason }) => msg === "stream closed" && mode === "connect-tcp" && reason === "done",
        ),
    "it ended in order",
  );
});
