import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { createDialer } from "../../relay-node/dialer.ts";
import { createGuard } from "../../relay-node/guard.ts";
import { createResolver } from "../../relay-node/resolver.ts";
import { answerQuestions } from "./conversation.ts";

/**
 * Runs by `startIsolated`: a host of 64 ports for outgoing connections, whose node makes more of them than it may have, one after the
 * other, to as many targets as it takes, and ends each first.
 */

writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "40000 40063");

/** Of 16 that are left to them; each waits as well. */
const OTHERS = 10;

async function listen(): Promise<number> {
  const server = createServer((socket) => void socket.on("error", () => {}).resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function use() {
  const dialer = createDialer({
    resolver: createResolver({ ipv6: false, timeoutMs: 100, tries: 1 }),
    guard: createGuard({ open: ["127.0.0.0/8"], own: () => [] }),
    egress: { ipv4: "127.0.0.9" },
  });
  const used = new Set<number>();
  for (let targets = 0; targets < 8; targets++) {
    // Their own ports are others' as well: those of the range's beginning would be the node's.
    const port = await listen();
    for (let at = 0; at < 30; at++) {
      const { socket } = await dialer.dial({ host: "127.0.0.1", port, tls: false });
      used.add(socket.localPort!);
      socket.end();
      await once(socket, "close");
    }
  }
  // TIME_WAIT is 06 there.
  const waiting = readFileSync("/proc/net/tcp", "utf8").match(/^ *\d+: 0900007F:.{4} \S+ 06 /gm) ?? [];
  const port = await listen();
  let others = 0;
  for (let at = 0; at < OTHERS; at++) {
    const socket = connect({ host: "127.0.0.1", port });
    await once(socket, "connect");
    socket.destroy();
    others++;
  }
  return { used: used.size, waiting: waiting.length, others };
}

answerQuestions(use, async () => {});
