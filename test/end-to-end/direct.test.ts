import { createHash, randomBytes } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { GrantsDesk, type NodeGrant } from "../../client/node/grants.ts";
import { createSockets, type RelaySocket } from "../../client/node/index.ts";
import { openSocket } from "../../client/node/node-wire.ts";
import { allOf } from "../support/all-of.ts";
import { startHoldfast } from "../support/holdfast-process.ts";
import { rawRequest, sendRaw } from "../support/raw-http.ts";
import { freePort, testStack } from "../support/stack.ts";
import { streamToken } from "../support/stream-caller.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** Clients that go straight to nodes, under grants of a real edge's. */
const MB = 1_048_576;

let stack: Awaited<ReturnType<typeof testStack>>;
let echo: TcpTarget;
let closedPort: number;
/** This process' connections to nodes that stand, and how many there were. */
const connections = new Set<Socket>();
let connected = 0;
let scissors: NodeJS.Timeout | undefined;

beforeAll(async () => {
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  closedPort = await freePort();
  stack = await testStack({ allow: [echo.url, `tcp://127.0.0.1:${closedPort}`] });
  writeFileSync(join(stack.dir, "trusted.pem"), stack.keys.ca);
  // As NODE_EXTRA_CA_CERTS has it from a process' start on.
  tls.setDefaultCACertificates([...tls.getCACertificates("default"), stack.keys.ca]);
  subscribe("net.client.socket", watch);
}, 60_000);
afterEach(() => {
  clearInterval(scissors);
  connected = 0;
});
afterAll(async () => {
  unsubscribe("net.client.socket", watch);
  await stack?.stop();
  await echo?.close();
});

function watch(message: unknown): void {
  const { socket } = message as { socket: Socket };
  socket.once("connect", () => {
    if (!stack.nodes.some(({ port }) => port === socket.remotePort)) return;
    connections.add(socket);
    connected += 1;
  });
  socket.once("close", () => connections.delete(socket));
}

const target = () => ({ host: "127.0.0.1", port: echo.port });
const direct = () => createSockets(stack.relayUrl, { via: "direct" });
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

async function echoed(socket: RelaySocket): Promise<string> {
  socket.write("hello");
  const [said] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return said.toString();
}

describe("a socket that goes straight to a node", () => {
  test("leaves from the node's address, by a connection of its own to it", async () => {
    const socket = direct().connect(target());
    expect(await echoed(socket)).toBe("hello");
    expect(["127.0.0.2", "127.0.0.3"]).toContain(socket.egress);
    expect(echo.sockets.at(-1)!.remoteAddress).toBe(socket.egress);
    expect(connected).toBe(1);
  });

  test("carries bytes both ways, whatever breaks on the way", async () => {
    const sent = randomBytes(8 * MB);
    const socket = direct().connect({ ...target(), allowHalfOpen: true });
    await once(socket, "connect");
    scissors = setInterval(() => connections.forEach((one) => one.destroy()), 400);
    const got = allOf(socket);
    for (let at = 0; at < sent.length; at += 200_000) {
      if (!socket.write(sent.subarray(at, at + 200_000))) await once(socket, "drain");
      await pause(20);
    }
    socket.end();
    expect(sha256(await got)).toBe(sha256(sent));
    expect(connected).toBeGreaterThan(1);
  }, 60_000);

  test("is told what the edge refuses, and what the node", async () => {
    const failure = async (port: number): Promise<unknown> =>
      (await once(direct().connect({ host: "127.0.0.1", port }), "error"))[0];
    expect(await failure(1)).toMatchObject({ code: "target_not_allowed", reached: "no" });
    expect(connected).toBe(0);
    expect(await failure(closedPort)).toMatchObject({ code: "connect_refused", reached: "no" });
    expect(connected).toBe(1);
  });

  test("takes the other node where one is gone", async () => {
    const gone = stack.process("node-1");
    gone.kill("SIGKILL");
    await once(gone, "exit");
    try {
      const sockets = direct();
      for (let count = 0; count < 6; count++) {
        const socket = sockets.connect(target());
        expect(await echoed(socket)).toBe("hello");
        expect(socket.node).toBe("node-2");
      }
      expect(connected).toBe(6);
    } finally {
      await stack.restartNode("node-1");
    }
  });
});

describe("a grant", () => {
  const grants = async (): Promise<readonly NodeGrant[]> =>
    new GrantsDesk().ask(stack.edge, await streamToken(stack.relayUrl, echo.url)).grants;

  /** What comes of a WebSocket with a grant: the code of a refusal, or `open`. */
  const use = (url: string, bearer: string): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      const socket = openSocket(
        { origin: url, bearer },
        {
          message: () => {
            socket.terminate();
            resolve("open");
          },
          ended: () => reject(new Error("it ended")),
          refused: ({ code }) => resolve(code),
          failed: reject,
        },
      );
    });

  test("opens one stream, once, at its own node", async () => {
    const [first, second] = await grants();
    expect(await use(second!.url, first!.grant)).toBe("grant_invalid");
    expect(await use(first!.url, first!.grant)).toBe("open");
    expect(await use(first!.url, first!.grant)).toBe("token_replayed");
    const [other] = await grants();
    const fetched = await sendRaw(
      { port: Number(new URL(other!.url).port), ca: stack.keys.ca },
      rawRequest("POST /fetch", [
        "Host: localhost",
        "Connection: close",
        `Relay-Authorization: Bearer ${other!.grant}`,
        "Relay-Envelope: 1",
        "Content-Length: 0",
      ]),
    );
    expect(fetched).toMatchObject({ status: 401 });
    expect(await use(other!.url, other!.grant)).toBe("open");
  });

  test("stands in no log", async () => {
    const [one] = await grants();
    expect(await use(one!.url, one!.grant)).toBe("open");
    for (const file of [stack.logs.edge, ...stack.nodes.map(({ id }) => stack.logs.node(id))]) {
      expect(readFileSync(file, "utf8")).not.toContain(one!.grant.split(".")[2]);
    }
  });
});

describe("the agent", () => {
  const start = (args: string[], env: Record<string, string> = {}) =>
    startHoldfast(args, { env: { HOLDFAST_URL: stack.relayUrl, ...env }, cwd: stack.dir });
  const trusted = () => ({ NODE_EXTRA_CA_CERTS: join(stack.dir, "trusted.pem") });
  const authority = () => `127.0.0.1:${echo.port}`;

  test("goes by the edge where no node can be trusted", async () => {
    const running = start(["tunnel", "--via", "direct", authority()]);
    await running.says(/^127\.0\.0\.1:\d+\n$/);
    const port = Number(running.stdout().trim().split(":")[1]);
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    socket.end("through");
    expect((await allOf(socket)).toString()).toBe("through");
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(0);
  });

  test("has its doctor look whether the nodes can be reached", async () => {
    const told = async (env: Record<string, string>) => {
      const { code, stdout } = await start(["doctor", "--via", "direct", "--to", authority()], env).ended;
      return { code, lines: stdout.split("\n").filter((line) => line.includes("direct way")) };
    };
    expect(await told(trusted())).toEqual({
      code: 0,
      lines: [
        expect.stringMatching(/^✓ direct way to node-1: https:\/\/localhost:\d+ answers in \d+ ms$/),
        expect.stringMatching(/^✓ direct way to node-2: https:\/\/localhost:\d+ answers in \d+ ms$/),
      ],
    });
    expect(await told({})).toEqual({
      code: 1,
      lines: [
        expect.stringMatching(
          /^✗ direct way to node-1: https:\S+ gives no answer \(.*\)\. Let this machine /,
        ),
        expect.stringMatching(/^✗ direct way to node-2: /),
      ],
    });
  });
});
