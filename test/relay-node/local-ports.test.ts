import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createDialer } from "../../relay-node/dialer.ts";
import { createGuard } from "../../relay-node/guard.ts";
import { isPortTaken, LocalPorts } from "../../relay-node/local-ports.ts";
import { createResolver } from "../../relay-node/resolver.ts";
import { startIsolated } from "../support/isolated.ts";

/** Which local ports outgoing connections have. */

const EGRESS = "203.0.113.7";

test.each([
  [EGRESS, "198.51.100.1"],
  ["2001:db8::7", "2001:db8::1"],
])(
  "ports from %s to %s are of the range, none that is reserved, and none that is left to others",
  (egress, address) => {
    const ports = new LocalPorts([41_000, 41_009], new Set([41_000, 41_003]));
    const seen = new Set(Array.from({ length: 400 }, () => ports.next(egress, address, 443)));
    expect([...seen].toSorted((one, other) => one - other)).toEqual([
      41_001, 41_002, 41_005, 41_006, 41_007, 41_009,
    ]);
  },
);

test.each([1, 2, 3])("a range of %i is used whole", (count) => {
  const ports = new LocalPorts([41_000, 41_000 + count - 1]);
  const seen = new Set(Array.from({ length: 200 }, () => ports.next(EGRESS, "198.51.100.1", 443)));
  expect([...seen].toSorted((one, other) => one - other)).toEqual([41_000, 41_001, 41_002].slice(0, count));
});

test("this system tells its range", () => {
  expect(LocalPorts.ofSystem()?.next(EGRESS, "198.51.100.1", 443)).toBeGreaterThan(1_023);
});

const RANGE = [32_768, 60_999] as const;
const COUNT = RANGE[1] - RANGE[0] + 1;
/** How far one port is past another. */
const past = (from: number, to: number) => (to - from + COUNT) % COUNT;

test("a target's ports stay apart until the range has been gone through", () => {
  const ports = new LocalPorts(RANGE);
  const length = COUNT / 4;
  const seen = new Set(Array.from({ length }, () => ports.next(EGRESS, "198.51.100.1", 443)));
  expect(seen.size).toBe(length);
});

test("a target's ports tell nothing of how many connections others have", () => {
  const ports = new LocalPorts(RANGE);
  const mine = Array.from({ length: 8 }, (_, at) => () => ports.next(EGRESS, "198.51.100.1", 5_000 + at));
  const before = mine.map((next) => next());
  for (let at = 0; at < 1_000; at++) ports.next(EGRESS, "198.51.100.2", 443);
  const steps = mine.map((next, at) => past(before[at]!, next()));
  // Four further at most, and up to two between them that are others'. One of them may have the other's counter, by a chance of 1 in 8,000.
  expect(steps.filter((step) => step < 1 || step > 6).length).toBeLessThanOrEqual(1);
});

test.each<[string, (at: number) => Parameters<LocalPorts["next"]>]>([
  ["targets' ports", (at) => [EGRESS, "198.51.100.1", at + 1]],
  ["targets' addresses", (at) => [EGRESS, `10.0.${at >> 8}.${at & 255}`, 443]],
  ["the node's addresses", (at) => [`2001:db8::${at.toString(16)}`, "2001:db8:1::1", 443]],
])("different %s have ports that lie anywhere", (_what, target) => {
  const ports = new LocalPorts(RANGE);
  const firsts = Array.from({ length: 2_000 }, (_, at) => ports.next(...target(at)));
  const sixteenths = Array.from({ length: 16 }, () => 0);
  for (const port of firsts) sixteenths[Math.floor(((port - RANGE[0]) * 16) / COUNT)]!++;
  // 125 in each, give or take six times the deviation of 11.
  expect(Math.min(...sixteenths)).toBeGreaterThan(59);
  expect(Math.max(...sixteenths)).toBeLessThan(191);
  // By chance 14 lie within 100 of the one before them.
  const near = firsts.filter((port, at) => at > 0 && Math.abs(port - firsts[at - 1]!) <= 100);
  expect(near.length).toBeLessThan(50);
});

test("two processes begin the same target elsewhere", () => {
  const firstOf = () => new LocalPorts(RANGE).next(EGRESS, "198.51.100.1", 443);
  expect(new Set(Array.from({ length: 8 }, firstOf)).size).toBeGreaterThan(6);
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

test("a node that has used all of its ports keeps nobody else of its host from connecting", async () => {
  const host = await startIsolated(resolve(import.meta.dirname, "../support/isolated-ports.ts"));
  onTestFinished(() => host.stop());
  const { used, waiting, others } = await host.ask<Record<"used" | "waiting" | "others", number>>({});
  // Of 64, 48 are the node's.
  expect(used).toBeGreaterThan(40);
  expect(used).toBeLessThanOrEqual(48);
  // Each of them waits for its minute, since the node ended it first.
  expect(waiting).toBeGreaterThanOrEqual(used);
  expect(others).toBe(10);
});
