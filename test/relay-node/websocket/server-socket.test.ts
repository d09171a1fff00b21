import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { tryBorrowing } from "../../../relay-node/splice/borrowed-reads.ts";
import { ServerSocket } from "../../../relay-node/websocket/server-socket.ts";

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

/** Both ends of a connection. */
async function connections() {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [wire] = (await accepted) as [Socket];
  server.close();
  open.push(client, wire);
  for (const socket of [client, wire]) socket.on("error", () => {});
  return { client, wire };
}

/** A client's connection, and the server's end of a WebSocket over it. */
async function pair(closeMs: number) {
  const { client, wire } = await connections();
  let signs = 0;
  const { promise: closed, resolve } = Promise.withResolvers<number>();
  const events = { bytes() {}, text() {}, sign: () => signs++, broken() {}, closed: resolve };
  const socket = new ServerSocket(wire, Buffer.alloc(0), { maxMessage: 1_000, closeMs }, events);
  return { client, wire, socket, closed, signs: () => signs };
}

/** Writes until the other end's buffers are full. */
async function fill(wire: Socket): Promise<void> {
  while (wire.writableLength < 100_000) {
    wire.write(Buffer.alloc(1_000_000));
    await pause(20);
  }
}

const ping = (payload: string) =>
  Buffer.from([0x89, 0x80 | payload.length, 0, 0, 0, 0, ...Buffer.from(payload)]);

test("one that ends without a close and reads nothing is not kept", async () => {
  const { client, wire, socket, closed } = await pair(200);
  client.pause();
  await fill(wire);
  client.end();
  expect(await closed).toBe(1_006);
  expect([wire.destroyed, socket.isClosed]).toEqual([true, true]);
});

test("of pings whose answers are not read the last one is answered, and the others cost nothing", async () => {
  const { client, wire, signs } = await pair(5_000);
  client.pause();
  await fill(wire);
  const before = wire.writableLength;
  const some = 20_000;
  for (let i = 0; i < some; i++) client.write(ping(String(i)));
  await expect.poll(signs, { timeout: 10_000 }).toBe(some);
  // The first one's pong waits; the last one's follows it.
  expect(wire.writableLength - before).toBeLessThan(10);
  let tail = Buffer.alloc(0);
  client.on("data", (chunk: Buffer) => (tail = Buffer.concat([tail, chunk]).subarray(-20)));
  client.resume();
  const last = `0\x8a\x05${some - 1}`;
  await expect.poll(() => tail.toString("latin1"), { timeout: 10_000 }).toContain(last);
});

test("one that is closed already is closed without a wait", async () => {
  const { client, socket, closed } = await pair(60_000);
  client.destroy();
  await closed;
  const timers = () => process.getActiveResourcesInfo().filter((one) => one === "Timeout").length;
  const before = timers();
  socket.close(1_011, "late");
  expect(timers()).toBe(before);
});

test("what came before it and behind its handshake is told first, in order, once it has been made", async () => {
  expect(await tryBorrowing()).toBe(true);
  const { wire, client } = await connections();
  const binary = (payload: string) =>
    Buffer.from([0x82, 0x80 | payload.length, 0, 0, 0, 0, ...Buffer.from(payload)]);
  const [first, second, third] = [binary("one"), binary("two"), binary("three")];
  for (const piece of [second.subarray(4), second.subarray(0, 4)]) wire.unshift(piece);
  let told = "";
  const events = {
    bytes: (piece: Buffer) => (told += `${piece.toString()} `),
    text() {},
    sign() {},
    broken() {},
    closed() {},
  };
  const made = new ServerSocket(wire, first, { maxMessage: 1_000, closeMs: 1_000 }, events);
  expect([told, made.isClosed]).toEqual(["", false]);
  client.write(third);
  await expect.poll(() => told.trim().split(/\s+/).join(" ")).toBe("one two three");
});
