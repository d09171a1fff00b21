import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { Connections, type Lease } from "../../relay-node/connections.ts";
import { createDialer } from "../../relay-node/dialer.ts";
import { createGuard } from "../../relay-node/guard.ts";
import { type SpareBounds, Spares } from "../../relay-node/spares.ts";
import { eventually } from "../support/node-log.ts";

const BOUNDS: SpareBounds = { inAll: 8, perClient: 2, seconds: 30 };
const OPEN = ["127.0.0.0/8"];

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A target that answers and closes each connection, unless it is to keep them. */
async function startTarget(answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok") {
  const sockets: Socket[] = [];
  let asked = 0;
  const server = createServer((socket) => {
    sockets.push(socket);
    socket
      .on("error", () => {})
      .on("data", () => {
        asked += 1;
        socket.write(answer);
      });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { sockets, target: parseTargetUrl(`http://127.0.0.1:${port}/`), asked: () => asked };
}

/** What dials by a guard that may be changed. */
function connectionsOf(bounds = BOUNDS) {
  let open = OPEN;
  const dialed: string[] = [];
  const connections = new Connections(
    createDialer({
      resolver: {
        resolve: (host) => {
          dialed.push(host);
          return Promise.resolve({ addresses: [{ address: "127.0.0.1", family: 4 }], cached: true });
        },
      },
      guard: { judge: (address) => createGuard({ open, own: () => [] }).judge(address) },
      egress: { ipv4: "127.0.0.1" },
    }),
    { assertProven: () => {}, mayLeave: () => true },
    bounds,
  );
  cleanups.push(() => connections.close());
  const refuse = () => void (open = []);
  return { connections, dialed, refuse };
}

type Target = Awaited<ReturnType<typeof startTarget>>["target"];

async function ask(connections: Connections, clientId: string, target: Target, method = "GET") {
  const needs = { repeatable: method === "GET", exclusive: false };
  const lease = await connections.lease({ clientId, target }, needs, new AbortController().signal);
  await sent(lease, target, method);
  return lease;
}

function sent(lease: Lease, { path, authority }: Target, method: string): Promise<void> {
  const request = { method, path, authority, fields: [], framing: "none", body: null } as const;
  return new Promise((done, failed) => {
    const end = (error?: Error) => {
      lease.release();
      if (error === undefined) done();
      else failed(error);
    };
    lease.send(request, {
      onRequestStart: () => {},
      onRequestSent: () => {},
      onAnswer: () => {},
      onResponseStart: () => {},
      onResponseData: () => {},
      onResponseEnd: () => end(),
      onResponseError: (_control: unknown, error: Error) => end(error),
    });
  });
}

describe("a connection made ahead", () => {
  test("waits for whoever asks a target again that closes its connections, and for nobody else", async () => {
    const { target, sockets, asked } = await startTarget();
    const { connections } = connectionsOf();
    await ask(connections, "app", target);
    await sleep(50);
    // Once is not often.
    expect([sockets.length, connections.spares.size]).toEqual([1, 0]);
    await ask(connections, "app", target);
    await eventually(() => sockets.length === 3, "a third connection");
    expect([asked(), connections.spares.size]).toEqual([2, 1]);
    const other = await ask(connections, "other", target);
    expect([other.reused, sockets.length]).toEqual([false, 4]);
    const used = await ask(connections, "app", target);
    // It may have been closed meanwhile, as one that has served.
    expect(used.reused).toBe(true);
    await eventually(() => sockets.length === 5, "the next one");
    expect(asked()).toBe(4);
  });

  test("serves what can't be repeated while it is as good as new, and not later", async () => {
    const { target, sockets } = await startTarget();
    const { connections } = connectionsOf();
    for (let i = 0; i < 2; i++) await ask(connections, "app", target);
    await eventually(() => sockets.length === 3, "a spare");
    await eventually(() => connections.size === 1, "it stands");
    await ask(connections, "app", target, "POST");
    await eventually(() => sockets.length === 4 && connections.size === 1, "another one");
    await sleep(1_100);
    await ask(connections, "app", target, "POST");
    expect(sockets.length).toBe(5);
  });

  test("is made when a connection that rests is closed, but not for ever", async () => {
    const { target, sockets } = await startTarget("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    const { connections } = connectionsOf();
    for (let i = 0; i < 2; i++) await ask(connections, "app", target);
    expect(sockets.length).toBe(1);
    for (const count of [1, 2]) {
      sockets.at(-1)!.destroy();
      await eventually(() => sockets.length === count + 1, "a spare");
      await eventually(() => connections.size === 1, "it stands");
    }
    sockets.at(-1)!.destroy();
    await eventually(() => connections.size === 0, "it is gone");
    await sleep(100);
    expect([sockets.length, connections.spares.size]).toEqual([3, 0]);
  });

  test("goes when bytes come that nobody asked for, and is not made again", async () => {
    const { target, sockets } = await startTarget();
    const { connections } = connectionsOf();
    for (let i = 0; i < 2; i++) await ask(connections, "app", target);
    await eventually(() => connections.size === 1, "a spare");
    sockets.at(-1)!.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    await eventually(() => connections.size === 0, "it is gone");
    await sleep(50);
    expect(sockets.length).toBe(3);
  });

  test("is not made for a target whose answer is none", async () => {
    const { target, sockets } = await startTarget("no HTTP\r\n\r\n");
    const { connections } = connectionsOf();
    for (let i = 0; i < 3; i++) {
      await expect(ask(connections, "app", target)).rejects.toMatchObject({ code: "target_protocol" });
    }
    await sleep(50);
    expect([sockets.length, connections.size]).toEqual([3, 0]);
  });

  test("is judged by the guard like any other", async () => {
    const { target, sockets } = await startTarget();
    const { connections, dialed, refuse } = connectionsOf();
    await ask(connections, "app", target);
    const lease = await connections.lease(
      { clientId: "app", target },
      { repeatable: true, exclusive: false },
      new AbortController().signal,
    );
    refuse();
    await sent(lease, target, "GET");
    await eventually(() => dialed.length === 3, "it is tried");
    await sleep(50);
    expect([sockets.length, connections.spares.size, connections.size]).toEqual([2, 0, 0]);
  });

  test.each([
    ["a removed client's", (connections: Connections) => connections.retireClients(new Set(["app"]))],
    ["an address that is left no more", (connections: Connections) => connections.retire(4)],
    ["a node that goes", (connections: Connections) => connections.close()],
  ])("goes with what it was made for: %s", async (_, end) => {
    const { target, sockets } = await startTarget();
    const { connections } = connectionsOf();
    for (let i = 0; i < 2; i++) await ask(connections, "app", target);
    await eventually(() => connections.size === 1, "a spare");
    end(connections);
    await eventually(() => sockets.at(-1)!.destroyed || sockets.at(-1)!.readableEnded, "it is closed");
    await sleep(50);
    expect([sockets.length, connections.size, connections.spares.size]).toEqual([3, 0, 0]);
  });
});

describe("how many are made ahead", () => {
  const route = (clientId: string) => ({ clientId });
  /** Spares over a clock that is moved by hand. */
  function sparesOf(bounds: Partial<SpareBounds>) {
    let time = 0;
    const spares = new Spares<{ readonly clientId: string }>(
      { ...BOUNDS, ...bounds },
      (one) => one,
      () => time,
    );
    const twice = (key: string, client: string) => {
      for (let i = 0; i < 2; i++) spares.asked(key, route(client));
    };
    return { spares, twice, pass: (seconds: number) => void (time += seconds * 1_000) };
  }

  test("is limited for each client and in all, and what has ended makes room", () => {
    const { spares, twice } = sparesOf({ inAll: 3, perClient: 2 });
    for (const key of ["a1", "a2", "a3"]) twice(key, "a");
    for (const key of ["b1", "b2"]) twice(key, "b");
    const lost = (key: string) => spares.lost(key)?.clientId;
    expect(["a1", "a2", "a3", "b1", "b2"].map(lost)).toEqual(["a", "a", undefined, "b", undefined]);
    spares.ended("a", "used");
    expect([lost("b2"), lost("a3")]).toEqual(["b", undefined]);
    spares.ended("b", "unused");
    expect(lost("a3")).toBe("a");
  });

  test("is none for what was asked for once, too long ago, or between long rests", () => {
    const { spares, twice, pass } = sparesOf({ seconds: 30 });
    spares.asked("once", route("a"));
    expect(spares.lost("once")).toBeUndefined();
    twice("late", "a");
    pass(31);
    expect(spares.lost("late")).toBeUndefined();
    spares.asked("rests", route("a"));
    pass(31);
    spares.asked("rests", route("a"));
    expect(spares.lost("rests")).toBeUndefined();
  });

  test("is none where it is switched off", () => {
    const { spares, twice } = sparesOf({ inAll: 0 });
    twice("a", "a");
    expect(spares.lost("a")).toBeUndefined();
  });
});
