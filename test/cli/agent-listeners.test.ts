import { once } from "node:events";
import net from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { AgentError } from "../../cli/agent/agent-error.ts";
import { destination, type Destination } from "../../cli/agent/destinations.ts";
import { FAILURE_LINE_MS } from "../../cli/agent/limits.ts";
import { type ListenerOptions, type Listeners, startListeners } from "../../cli/agent/listeners.ts";
import { LOOPBACK, loopbackAddress } from "../../cli/agent/loopback.ts";
import type { Opener } from "../../client/node/opener.ts";
import { RelayError } from "../../protocol/errors.ts";
import { eventually } from "../support/node-log.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A server that says whom a client spoke to, and echoes; it ends only after the client has. */
async function echo(greeting: string): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.write(greeting);
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

function direct(port: number): Opener {
  return async () => {
    const socket = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    await once(socket, "connect");
    return socket;
  };
}

async function listen(
  destinations: readonly Destination[],
  open: Opener,
  options: Partial<ListenerOptions> = {},
): Promise<Listeners & { lines: string[] }> {
  const lines: string[] = [];
  const listeners = await startListeners(destinations, open, { log: (line) => lines.push(line), ...options });
  closers.push(listeners.close);
  return { ...listeners, lines };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function talk({ address, port }: { address: string; port: number }, text: string): Promise<string> {
  const socket = net.connect({ host: address, port, allowHalfOpen: true });
  socket.end(text);
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

describe("loopback addresses", () => {
  test("are the same on every start, and differ by host and attempt", () => {
    expect(loopbackAddress("db.example.com", 0)).toBe(loopbackAddress("db.example.com", 0));
    const many = new Set(
      Array.from({ length: 200 }, (_, index) => loopbackAddress(`db${index % 20}.example.com`, index)),
    );
    expect(many.size).toBe(200);
    for (const address of many) {
      expect(address).toMatch(LOOPBACK);
      expect(Number(address.split(".")[1])).toBeGreaterThanOrEqual(64);
      expect(Number(address.split(".")[1])).toBeLessThan(128);
      expect(["0", "255"]).not.toContain(address.split(".")[3]);
    }
  });
});

describe("listeners", () => {
  test("two hosts on one port do not collide, and two ports of a host share its address", async () => {
    const port = await freePort();
    const other = await freePort();
    const asked: string[] = [];
    const open: Opener = async ({ host, port: at }) => {
      asked.push(`${host}:${at}`);
      return direct(await echo(host))({ host, port: at });
    };
    const { routes, state } = await listen(
      [
        destination("a.example.com", port),
        destination("b.example.com", port),
        destination("a.example.com", other),
      ],
      open,
    );
    expect(routes.map((route) => route.port)).toEqual([port, other, port]);
    const [a, a2, b] = routes;
    expect(a!.address).toBe(a2!.address);
    expect(a!.address).not.toBe(b!.address);
    expect(await talk(a!, " early")).toBe("a.example.com early");
    expect(await talk(b!, " bytes")).toBe("b.example.com bytes");
    expect(asked).toEqual([`a.example.com:${port}`, `b.example.com:${port}`]);
    await eventually(() => state().every(({ open: now }) => now === 0), "all are closed");
    expect(state().map(({ opened }) => opened)).toEqual([1, 0, 1]);
  });

  test("what a client sends before the other end is open is kept, and so is its end", async () => {
    const port = await echo("");
    const { promise: opened, resolve: mayOpen } = Promise.withResolvers<void>();
    const { routes } = await listen([destination("a.example.com", await freePort())], async (target) => {
      await opened;
      return direct(port)(target);
    });
    const text = "x".repeat(100_000);
    const answer = talk(routes[0]!, text);
    mayOpen();
    expect(await answer).toBe(text);
  });

  test("a second agent takes another address for the same host and port", async () => {
    const port = await freePort();
    const where = [];
    for (const greeting of ["first", "second", "third"]) {
      const { routes } = await listen([destination("a.example.com", port)], direct(await echo(greeting)));
      where.push(routes[0]!);
    }
    expect(where.map((route) => route.port)).toEqual([port, port, port]);
    expect(new Set(where.map(({ address }) => address)).size).toBe(3);
    expect(await Promise.all(where.map((route) => talk(route, "!")))).toEqual([
      "first!",
      "second!",
      "third!",
    ]);
  });

  test("an address and port that are asked for are taken, or the start fails", async () => {
    const port = await freePort();
    const asked = destination("a.example.com", 5432, { listen: { address: "127.9.9.9", port } });
    const { routes } = await listen([asked], direct(1));
    expect(routes).toMatchObject([{ address: "127.9.9.9", port }]);
    const free = destination("b.example.com", await freePort());
    const second = startListeners([free, asked], direct(1), { log: () => {} });
    await expect(second).rejects.toThrow(AgentError);
    await expect(second).rejects.toThrow(`choose another listen for a.example.com`);
    // What was bound before is free again.
    const again = await listen([free], direct(1));
    expect(again.routes[0]).toMatchObject({ address: loopbackAddress("b.example.com", 0), port: free.port });
  });

  test("a failed open resets the connection, and is told once in a while with its mend", async () => {
    let now = 0;
    const { routes, lines, state } = await listen(
      [destination("a.example.com", await freePort())],
      () =>
        Promise.reject(
          new RelayError("connect_refused", "a.example.com refused", { cause: new Error("ECONNREFUSED") }),
        ),
      { now: () => now },
    );
    for (let count = 0; count < 3; count++) {
      await expect(talk(routes[0]!, "x")).rejects.toMatchObject({ code: "ECONNRESET" });
    }
    await eventually(() => state()[0]!.failed === 3, "three have failed");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^a\.example\.com:\d+: no connection: connect_refused: a\.example\.com refused \(ECONNREFUSED\)\. Check that/,
    );
    now += FAILURE_LINE_MS;
    await expect(talk(routes[0]!, "x")).rejects.toMatchObject({ code: "ECONNRESET" });
    await eventually(() => lines.length === 2, "a second line is told");
    expect(lines[1]).toContain("(and 2 more since the last line)");
    expect(state()[0]!.lastError).toEqual({
      code: "connect_refused",
      detail: "a.example.com refused (ECONNREFUSED)",
    });
  });

  test("more connections than the cap are refused and told", async () => {
    const { routes, lines } = await listen(
      [destination("a.example.com", await freePort())],
      direct(await echo("hello")),
      { connectionsMax: 1 },
    );
    const first = net.connect({ host: routes[0]!.address, port: routes[0]!.port });
    await once(first, "data");
    await talk(routes[0]!, "").catch(() => "");
    await eventually(() => lines.length > 0, "the refusal is told");
    expect(lines[0]).toContain("more than 1 connections at once");
    first.destroy();
  });

  test("close resets what is open and what is being opened", async () => {
    const { routes, close } = await listen(
      [destination("a.example.com", await freePort()), destination("b.example.com", await freePort())],
      ({ host, port, signal }) =>
        host.startsWith("a")
          ? echo("hi").then((at) => direct(at)({ host, port }))
          : new Promise((_, reject) => {
              signal!.addEventListener("abort", () => reject(signal!.reason as Error), { once: true });
            }),
    );
    const sockets = routes.map(({ address, port }) => net.connect({ host: address, port }));
    const lost = sockets.map(async (socket) => {
      const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
      return error.code;
    });
    sockets[0]!.resume();
    await once(sockets[1]!, "connect");
    await once(sockets[0]!, "data");
    await close();
    expect(await Promise.all(lost)).toEqual(["ECONNRESET", "ECONNRESET"]);
  });
});
