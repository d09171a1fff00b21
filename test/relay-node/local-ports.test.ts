import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createDialer } from "../../relay-node/dialer.ts";
import { createGuard } from "../../relay-node/guard.ts";
import { isPortTaken, LocalPorts } from "../../relay-node/local-ports.ts";
import { createResolver } from "../../relay-node/resolver.ts";

/** Which local ports outgoing connections have. */

test("ports are of the range, and none that is reserved", () => {
  const reserved = new Set([41_000, 41_003]);
  const ports = new LocalPorts([41_000, 41_009], reserved);
  for (let at = 0; at < 200; at++) {
    const port = ports.next();
    expect(port).toBeGreaterThanOrEqual(41_000);
    expect(port).toBeLessThanOrEqual(41_009);
    expect(reserved.has(port)).toBe(false);
  }
});

test("this system tells its range", () => {
  expect(LocalPorts.ofSystem()?.next()).toBeGreaterThan(1_023);
});

test.each([
  [{ code: "EADDRINUSE" }, true],
  [{ code: "EADDRNOTAVAIL" }, true],
  [{ code: "ECONNREFUSED" }, false],
  [undefined, false],
])("%j is a port that is taken: %s", (error, isTaken) => {
  expect(isPortTaken(error)).toBe(isTaken);
});

let port: number;
const sockets: Socket[] = [];
const server = createServer((socket) => void sockets.push(socket));
beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

test("two targets are reached from one port of one address, one target is not", async () => {
  const first = connect({ host: "127.0.0.1", port, localAddress: "127.0.0.9" });
  await once(first, "connect");
  sockets.push(first);
  const again = connect({ host: "127.0.0.1", port, localAddress: "127.0.0.9", localPort: first.localPort! });
  const [error] = (await once(again, "error")) as [Error];
  expect(isPortTaken(error)).toBe(true);
  const other = createServer();
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const beside = connect({
    host: "127.0.0.1",
    port: (other.address() as AddressInfo).port,
    localAddress: "127.0.0.9",
    localPort: first.localPort!,
  });
  await once(beside, "connect");
  beside.destroy();
  other.close();
});

test("a dialer opens more connections to one target at once than it can find a port for at the first try", async () => {
  const dialer = createDialer({
    resolver: createResolver({ ipv6: false, timeoutMs: 100, tries: 1 }),
    guard: createGuard({ open: ["127.0.0.0/8"], own: () => [] }),
    egress: { ipv4: "127.0.0.9" },
  });
  const dialed = await Promise.all(
    Array.from({ length: 300 }, () => dialer.dial({ host: "127.0.0.1", port, tls: false })),
  );
  const ports = new Set(dialed.map(({ socket }) => socket.localPort));
  for (const { socket } of dialed) {
    expect(socket.localAddress).toBe("127.0.0.9");
    socket.destroy();
  }
  expect(ports.size).toBe(300);
});
