import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { createHash, randomBytes } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { Socket } from "node:net";
import { resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createRelay } from "../../client/index.ts";
import { createSockets } from "../../client/node/index.ts";
import type { Stack } from "../../dev/stack.ts";
import { allOf } from "../support/all-of.ts";
import { type BlackHole, startBlackHole } from "../support/black-hole.ts";
import { eventually, logLines } from "../support/node-log.ts";
import { freePort, testStack } from "../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** The client's streams through workerd and real nodes. */
const ROOT = resolve(import.meta.dirname, "../..");
const MB = 1_048_576;
const EGRESS = ["127.0.0.2", "127.0.0.3"];

let stack: Stack;
let echo: TcpTarget;
let resetting: TcpTarget;
let closedPort: number;
let hole: BlackHole;
/** This process' connections to the edge. */
const connections = new Set<Socket>();
let scissors: NodeJS.Timeout | undefined;

beforeAll(async () => {
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  resetting = await startTcpTarget((socket) => void socket.once("data", () => socket.resetAndDestroy()));
  closedPort = await freePort();
  hole = await startBlackHole("127.0.0.9");
  const others = [`tcp://127.0.0.1:${closedPort}`, `tcp://127.0.0.9:${hole.port}`];
  stack = await testStack({ allow: [echo.url, resetting.url, ...others] });
  subscribe("net.client.socket", watch);
});
afterEach(() => clearInterval(scissors));
afterAll(async () => {
  unsubscribe("net.client.socket", watch);
  await stack?.stop();
  await Promise.all([echo?.close(), resetting?.close(), hole?.close()]);
});

function watch(message: unknown): void {
  const { socket } = message as { socket: Socket };
  socket.once("connect", () => {
    if (socket.remotePort === Number(new URL(stack.edge).port)) connections.add(socket);
  });
  socket.once("close", () => connections.delete(socket));
}

/** Cuts what connects to the edge, again and again; counts the cuts. */
function cutting(everyMs: number): () => number {
  let cuts = 0;
  scissors = setInterval(() => {
    for (const socket of connections) {
      socket.destroy();
      cuts += 1;
    }
  }, everyMs);
  return () => cuts;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

describe("a socket", () => {
  test("carries bytes both ways, whatever breaks on the way to the edge", async () => {
    const sent = randomBytes(24 * MB);
    const sockets = createSockets(stack.relayUrl);
    const socket = sockets.connect({ host: "127.0.0.1", port: echo.port, allowHalfOpen: true });
    await once(socket, "connect");
    expect(EGRESS).toContain(socket.egress);
    expect(echo.sockets.at(-1)!.remoteAddress).toBe(socket.egress);
    const cuts = cutting(400);
    const got = allOf(socket);
    for (let at = 0; at < sent.length; at += 200_000) {
      if (!socket.write(sent.subarray(at, at + 200_000))) await once(socket, "drain");
      await pause(20);
    }
    socket.end();
    expect(sha256(await got)).toBe(sha256(sent));
    expect(cuts()).toBeGreaterThan(3);
  }, 90_000);

  test("is told what the edge and what the node refuses, and the target's reset", async () => {
    const sockets = createSockets(stack.relayUrl);
    const failure = async (port: number): Promise<unknown> => {
      const socket = sockets.connect({ host: "127.0.0.1", port });
      socket.write("x");
      return (await once(socket, "error"))[0];
    };
    expect(await failure(1)).toMatchObject({ code: "target_not_allowed", reached: "no" });
    expect(await failure(closedPort)).toMatchObject({
      code: "connect_refused",
      reached: "no",
      retryable: true,
    });
    expect(await failure(resetting.port)).toMatchObject({ code: "target_reset", reached: "yes" });
  });
});

describe("a socket whose node is started anew", () => {
  test("ends with a typed error, and the next one opens", async () => {
    const sockets = createSockets(stack.relayUrl, { node: "node-1", resumeMs: 15_000 });
    const connect = () => sockets.connect({ host: "127.0.0.1", port: echo.port });
    const socket = connect();
    await once(socket, "connect");
    const ended = once(socket, "error");
    await stack.restartNode("node-1");
    const [error] = (await ended) as [{ readonly code: string }];
    expect(error).toMatchObject({ name: "RelayError", reached: "yes", retryable: false });
    expect(["node_draining", "stream_unknown"]).toContain(error.code);
    const next = connect();
    next.write("hello");
    expect(String((await once(next, "data"))[0])).toBe("hello");
    next.destroy();
  }, 60_000);
});

describe("relay.connect", () => {
  test("carries bytes both ways, whatever breaks on the way to the edge", async () => {
    const sent = randomBytes(8 * MB);
    const connection = createRelay(stack.relayUrl).connect({ host: "127.0.0.1", port: echo.port });
    const { node, egress } = await connection.opened;
    expect([EGRESS.includes(egress), node]).toEqual([true, expect.stringMatching(/^node-[12]$/)]);
    const cuts = cutting(300);
    const send = async () => {
      const writer = connection.writable.getWriter();
      for (let at = 0; at < sent.length; at += 100_000) {
        await writer.write(sent.subarray(at, at + 100_000));
        await pause(20);
      }
      await writer.close();
    };
    const receive = async () => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of connection.readable) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    const [got] = await Promise.all([receive(), send()]);
    expect(sha256(got)).toBe(sha256(sent));
    expect(cuts()).toBeGreaterThan(3);
    await connection.closed;
  }, 90_000);

  test("is told what the edge and what the node refuses", async () => {
    const relay = createRelay(stack.relayUrl);
    const open = (port: number) => relay.connect({ host: "127.0.0.1", port }).opened;
    await expect(open(1)).rejects.toMatchObject({ code: "target_not_allowed", reached: "no" });
    await expect(open(closedPort)).rejects.toMatchObject({ code: "connect_refused", reached: "no" });
  });
});

describe("in workerd", () => {
  const WORKER = `
    import { createRelay } from "./client/index.ts";
    export default {
      async fetch(request, env) {
        const relay = createRelay(env.HOLDFAST_URL);
        const connection = relay.connect({ host: "127.0.0.1", port: Number(new URL(request.url).pathname.slice(1)) });
        try {
          const { egress } = await connection.opened;
          const writing = (async () => {
            const writer = connection.writable.getWriter();
            for (let n = 0; n < 40; n++) await writer.write(new Uint8Array(100_000).fill(n));
            await writer.close();
          })();
          let [bytes, sum] = [0, 0];
          for await (const chunk of connection.readable) {
            bytes += chunk.length;
            for (const byte of chunk) sum += byte;
          }
          await writing;
          await connection.closed;
          return Response.json({ egress, bytes, sum });
        } catch ({ name, code, reached }) {
          return Response.json({ name, code, reached });
        }
      },
    };`;
  let workerd: Miniflare;

  beforeAll(async () => {
    const bundle = await build({
      stdin: { contents: WORKER, resolveDir: ROOT, loader: "js" },
      bundle: true,
      write: false,
      format: "esm",
      platform: "browser",
      conditions: ["workerd"],
    });
    const contents = bundle.outputFiles[0]!.text;
    workerd = new Miniflare({
      workers: [
        {
          config: {
            name: "client",
            compatibilityDate: "2026-09-15",
            env: { HOLDFAST_URL: { type: "text", value: stack.relayUrl } },
            manifest: {
              mainModule: "main.js",
              modulesRoot: "/",
              modules: { "main.js": { type: "esm", contents } },
            },
          },
        },
      ],
    });
    await workerd.ready;
  });
  afterAll(() => workerd?.dispose());

  const ask = async (port: number) => (await workerd.dispatchFetch(`http://client/${port}`)).json();

  test("relay.connect carries bytes both ways", async () => {
    expect(await ask(echo.port)).toEqual({
      egress: expect.stringMatching(/^127\.0\.0\.[23]$/),
      bytes: 4_000_000,
      sum: 100_000 * ((39 * 40) / 2),
    });
  });

  test("relay.connect is told what the edge and what the node refuses", async () => {
    expect(await ask(1)).toEqual({ name: "RelayError", code: "target_not_allowed", reached: "no" });
    expect(await ask(closedPort)).toEqual({ name: "RelayError", code: "connect_refused", reached: "no" });
  });
});

describe("what is given up in mid-dial ends the dial", () => {
  test.each([
    [
      "by a socket",
      (target: { host: string; port: number }) => {
        const socket = createSockets(stack.relayUrl, { node: "node-1" }).connect(target);
        return () => socket.on("error", () => {}).destroy();
      },
    ],
    [
      "by connect",
      (target: { host: string; port: number }) => {
        const connection = createRelay(stack.relayUrl, { node: "node-1" }).connect(target);
        return () => void connection.close();
      },
    ],
  ])("%s", async (_by, open) => {
    const refusals = () =>
      logLines(stack.logs.node("node-1")).filter(
        (line) => line["msg"] === "stream refused" && line["target"] === `127.0.0.9:${hole.port}`,
      );
    const before = refusals().length;
    const giveUp = open({ host: "127.0.0.9", port: hole.port });
    await pause(500);
    giveUp();
    // Sooner than the dial would end by itself.
    await eventually(() => refusals().length > before, "the dial ends", 8_000);
    expect(refusals().at(-1)).toMatchObject({ reason: "answer_cut", reached: "no" });
  });
});
