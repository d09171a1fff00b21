import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { isRelayError } from "../../../protocol/errors.ts";
import { newRequestId } from "../../../protocol/tokens.ts";
import { type BlackHole, startBlackHole } from "../../support/black-hole.ts";
import { eventually } from "../../support/node-log.ts";
import { handleOf, loginOf, type ProxyNode, startProxyNode } from "../../support/proxy-node.ts";
import { openRaw, type RawAnswer, rawRequest, readRaw, sendRaw } from "../../support/raw-http.ts";
import { KEYS, revocation, TAKES } from "../../support/revocations.ts";
import { askStream, ClientStream, failureOf } from "../../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../../support/tcp-target.ts";

/** A node that asks its edge every 25 ms what was revoked, and all that can run at it. */

let node: ProxyNode;
let target: TcpTarget;
let hole: BlackHole;
/** Answers `/slow` with the beginning of a body, `/silent` not at all, all else at once. */
const server = createServer((request, response) => {
  waiting.push(response);
  if (request.url === "/slow") response.writeHead(200, { "Content-Length": "10" }).write("begun");
  else if (request.url !== "/silent") response.end("whole");
});
const waiting: ServerResponse[] = [];
let origin: string;
/** What a test's grants go back to. */
let source: { readonly sub: string; readonly key: string; readonly cred: string; readonly rule: string };

beforeAll(async () => {
  node = await startProxyNode({ revocationsMs: 25, tickMs: 100 });
  target = await startTcpTarget((socket) => socket.pipe(socket));
  hole = await startBlackHole("127.0.0.1");
  // Of connections that rest, none goes by itself.
  server.keepAliveTimeout = 0;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
let clients = 0;
beforeEach(() => {
  // A client of its own for each test: what is revoked is remembered.
  source = { sub: `app-${clients++}`, key: KEYS[0], cred: newRequestId(), rule: KEYS[1] };
  node.source = { key: source.key, cred: source.cred, rule: source.rule };
});
afterEach(() => {
  for (const response of waiting.splice(0)) response.destroy();
});
afterAll(async () => {
  await node.stop();
  await target.close();
  await hole.close();
  server.close();
  server.closeAllConnections();
});

type Kind = (typeof TAKES)[number][0];

/** Revokes what the test's grants go back to. */
function revoke(kind: Kind, of: typeof source = source, at?: number): void {
  const id = { client: of.sub, key: of.key, handle: of.cred, token: of.cred, rule: of.rule }[kind];
  const more = { client: of.sub, ...(at !== undefined && { at }) };
  node.revoked.push(revocation(kind, id, more));
}

/** Waits until the node has been told all. */
async function untilTold(): Promise<void> {
  const applied = () => node.log().filter(({ msg }) => msg === "revocations applied").length;
  const before = applied();
  node.revoked.push(revocation("client", "nobody", { client: "nobody" }));
  await eventually(async () => applied() > before, "the node has been told");
}

const lineOf = (msg: string) =>
  node.log().findLast((line) => line["msg"] === msg && line["client"] === source.sub);
const claims = (more: object = {}) => ({ iss: originOfEdge(), ...source, ...more });
const originOfEdge = () => node.relay.config.edge;
const fetchBytes = (path: string, more: object = {}) =>
  rawRequest("POST /fetch", [
    "Host: localhost",
    "Connection: close",
    `Relay-Authorization: Bearer ${node.grant({ claims: claims({ url: `${origin}${path}`, ...more }) })}`,
    "Relay-Envelope: 1",
    "Content-Length: 0",
  ]);
const peer = () => ({ port: node.port, ca: node.ca });
const streamClaims = (more: object = {}) => ({ claims: claims({ url: target.url, ...more }) });
const forward = (path: string, lines = ["Connection: close"]) =>
  rawRequest(`GET ${origin}${path}`, [`Host: ${new URL(origin).host}`, loginOf(source.sub), ...lines]);

async function closed(socket: Socket): Promise<string> {
  socket.on("error", () => {});
  socket.resume();
  // A reset is one way of being closed.
  if (!socket.destroyed) await new Promise((done) => void socket.once("close", done));
  return "closed";
}

async function socksTunnel(): Promise<Socket> {
  const socket = await openRaw({ port: node.ports.socks5 });
  const read = async (bytes: number) => {
    while (socket.readableLength < bytes) await once(socket, "readable");
    return socket.read(bytes) as Buffer;
  };
  socket.write(Buffer.from([5, 1, 2]));
  await read(2);
  const [user, password] = [source.sub, handleOf(source.sub)].map((text) => Buffer.from(text));
  socket.write(Buffer.from([1, user!.length, ...user!, password!.length, ...password!]));
  await read(2);
  socket.write(Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, target.port >> 8, target.port & 255]));
  expect((await read(10))[1]).toBe(0);
  return socket;
}

/** Each begins something, and then tells how it ended. */
const DOORS: readonly [door: string, begin: () => Promise<() => Promise<unknown>>, ended: unknown][] = [
  [
    "a stream",
    async () => {
      const stream = await ClientStream.open(node, streamClaims());
      return async () => {
        const error = await stream.over;
        return [error?.code, lineOf("stream closed")?.["reason"]];
      };
    },
    ["revoked", "revoked"],
  ],
  [
    "a path that is parked",
    async () => {
      const { inbox } = await askStream(node, streamClaims({ park: true }));
      const parked = JSON.parse(String(await inbox.next())) as { type: string };
      return async () => [parked.type, (JSON.parse(String(await inbox.next())) as { code: string }).code];
    },
    ["parked", "revoked"],
  ],
  [
    "a path that was parked, while it dials",
    async () => {
      const url = `tcp://127.0.0.1:${hole.port}`;
      const { inbox, socket } = await askStream(node, streamClaims({ park: true, url }));
      await inbox.next();
      socket.send(JSON.stringify({ type: "dial" }));
      socket.send(Buffer.from("early"));
      await pause(100);
      return async () => (JSON.parse(String(await inbox.next())) as { code: string }).code;
    },
    "revoked",
  ],
  [
    "a stream that waits for its client to come back",
    async () => {
      const stream = await ClientStream.open(node, streamClaims());
      stream.cut();
      return async () => {
        await eventually(async () => lineOf("stream closed") !== undefined, "it has ended");
        const error = await failureOf(stream.resume());
        return [error.code, lineOf("stream closed")?.["reason"]];
      };
    },
    ["revoked", "revoked"],
  ],
  [
    "a raw stream",
    async () => {
      const { socket } = await askStream(node, { ...streamClaims(), protocols: [] });
      return async () => {
        const [code, reason] = (await once(socket, "close")) as [number, Buffer];
        return [code, reason.toString(), lineOf("stream closed")?.["reason"]];
      };
    },
    [1_011, "revoked", "revoked"],
  ],
  [
    "a stream that is being opened",
    async () => {
      const opening = failureOf(askStream(node, streamClaims({ url: `tcp://127.0.0.1:${hole.port}` })));
      return async () => {
        const { code, reached } = await opening;
        return [code, reached, lineOf("stream refused")?.["reason"]];
      };
    },
    ["revoked", "no", "revoked"],
  ],
  [
    "a tunnel by CONNECT",
    async () => {
      const socket = await node.tunnel(target.url, { login: loginOf(source.sub) });
      return async () => [await closed(socket), lineOf("stream closed")?.["reason"]];
    },
    ["closed", "revoked"],
  ],
  [
    "a tunnel by SOCKS",
    async () => {
      const socket = await socksTunnel();
      return async () => [await closed(socket), lineOf("stream closed")?.["reason"]];
    },
    ["closed", "revoked"],
  ],
  [
    "a tunnel that is being opened",
    async () => {
      const authority = `127.0.0.1:${hole.port}`;
      const lines = [`Host: ${authority}`, loginOf(source.sub)];
      const answer = node.ask(rawRequest(`CONNECT ${authority}`, lines));
      return async () => told(await answer);
    },
    [407, "revoked", "no"],
  ],
  [
    "a request whose target has not answered",
    async () => {
      const answer = sendRaw(peer(), fetchBytes("/silent"));
      return async () => told(await answer);
    },
    [401, "revoked", "unknown"],
  ],
  [
    "a request whose answer is on its way",
    async () => {
      const socket = await openRaw(peer());
      const reading = readRaw(socket);
      socket.write(fetchBytes("/slow"));
      return async () => [
        (await reading).includes("begun"),
        await closed(socket),
        lineOf("request")?.["reason"],
      ];
    },
    [true, "closed", "revoked"],
  ],
  [
    "a proxy's request whose target has not answered",
    async () => {
      const answer = node.ask(forward("/silent"));
      return async () => told(await answer);
    },
    [407, "revoked", "unknown"],
  ],
  [
    "a proxy's connection between two requests",
    async () => {
      const socket = await node.connect();
      let said = "";
      socket.on("data", (chunk: Buffer) => (said += chunk.toString()));
      socket.write(forward("/", []));
      await eventually(async () => said.endsWith("whole"), "it is answered");
      return () => closed(socket);
    },
    "closed",
  ],
];

function told(answer: RawAnswer | undefined): unknown[] {
  return [answer?.status, answer?.field("relay-error"), answer?.field("relay-reached")];
}

/** Until what a door began runs. */
async function untilRuns(before: number): Promise<void> {
  await eventually(async () => node.relay.revocations.sizes.running > before, "it runs");
  await pause(50);
}

describe.each(DOORS)("%s", (_door, begin, ended) => {
  test.each(TAKES.map(([kind]) => kind))("ends where its %s is revoked", async (kind) => {
    const spared = { ...source };
    source = { ...source, sub: `${source.sub}-x` };
    const { running } = node.relay.revocations.sizes;
    const end = await begin();
    await untilRuns(running);
    // The same key and ids, of another client.
    revoke(kind, spared);
    await untilTold();
    expect(node.relay.revocations.sizes.running).toBeGreaterThan(running);
    const begun = performance.now();
    revoke(kind);
    expect(await end()).toEqual(ended);
    expect(performance.now() - begun).toBeLessThan(5_000);
    await eventually(async () => node.relay.revocations.sizes.running === running, "nothing is left of it");
  });
});

describe("a stream", () => {
  test("that is younger than the revocation goes on", async () => {
    const stream = await ClientStream.open(node, streamClaims());
    revoke("client", source, Math.floor(Date.now() / 1_000) - 20);
    await untilTold();
    stream.write("still here");
    stream.finish();
    expect(await stream.over).toBeUndefined();
    expect(stream.bytes.toString()).toBe("still here");
  });

  test("that goes on under a new key stays when the old one is removed, and ends with the new one", async () => {
    const stream = await ClientStream.open(node, streamClaims());
    stream.cut();
    await stream.resume({ key: KEYS[1] });
    revoke("key");
    await untilTold();
    expect(stream.end.isDone).toBe(false);
    revoke("key", { ...source, key: KEYS[1] });
    expect(await stream.over).toMatchObject({ code: "revoked", reached: "yes" });
  });

  test("is not taken up again by a key that was removed", async () => {
    const stream = await ClientStream.open(node, streamClaims());
    stream.cut();
    revoke("key", { ...source, key: KEYS[1] });
    await untilTold();
    expect(await failureOf(stream.resume({ key: KEYS[1] }))).toMatchObject({
      code: "revoked",
      reached: "no",
    });
    await stream.resume();
    stream.finish();
    expect(await stream.over).toBeUndefined();
  });
});

describe("a connection to a target that rests", () => {
  /** The target's end of a connection that a client's request left behind. */
  const rested = async (sub: string): Promise<Socket> => {
    const connected = once(server, "connection");
    expect(told(await sendRaw(peer(), fetchBytes("/", { sub })))[0]).toBe(200);
    const [socket] = (await connected) as [Socket];
    return socket;
  };

  test("goes with its client, and with no other", async () => {
    const mine = await rested(source.sub);
    const others = await rested(`${source.sub}-x`);
    revoke("client");
    await eventually(async () => mine.destroyed, "it is closed");
    expect(others.destroyed).toBe(false);
  });

  test.each(TAKES.map(([kind]) => kind).filter((kind) => kind !== "client"))(
    "stays where a %s is revoked: its client has others",
    async (kind) => {
      const mine = await rested(source.sub);
      revoke(kind);
      await untilTold();
      await pause(50);
      expect(mine.destroyed).toBe(false);
    },
  );
});

describe("once it is revoked", () => {
  /** How each door answers a grant that came too late. */
  const LATER: readonly [door: string, ask: () => Promise<unknown>, answer: unknown][] = [
    ["a request", async () => told(await sendRaw(peer(), fetchBytes("/"))), [401, "revoked", "no"]],
    [
      "a stream",
      async () => {
        const { code, reached } = await failureOf(askStream(node, streamClaims()));
        return [code, reached];
      },
      ["revoked", "no"],
    ],
    [
      "a seed list",
      async () => {
        const url = "mongodb+srv://a.b.example.com";
        const grant = node.grant({ claims: claims({ act: "resolve", htm: "POST", url }) });
        const lines = ["Host: localhost", "Connection: close", `Relay-Authorization: Bearer ${grant}`];
        return told(await sendRaw(peer(), rawRequest("POST /resolve", [...lines, "Content-Length: 0"])));
      },
      [401, "revoked", "no"],
    ],
    ["a proxy's request", async () => told(await node.ask(forward("/"))), [407, "revoked", "no"]],
    [
      "a tunnel",
      async () => {
        const open = node.tunnel(target.url, { login: loginOf(source.sub) });
        const error: unknown = await open.catch((reason: unknown) => reason);
        return isRelayError(error) ? error.code : /Relay-Error: (\w+)/.exec(String(error))?.[1];
      },
      "revoked",
    ],
  ];

  test.each(LATER)(
    "%s is refused under a grant that an isolate signed all the same",
    async (_door, ask, answer) => {
      revoke("handle");
      await untilTold();
      expect(await ask()).toEqual(answer);
    },
  );

  test("giving up is not", async () => {
    revoke("client");
    await untilTold();
    const grant = node.grant({ claims: claims({ act: "cancel", url: `${origin}/` }) });
    const lines = ["Host: localhost", "Connection: close", `Relay-Authorization: Bearer ${grant}`];
    const answer = await sendRaw(peer(), rawRequest("POST /cancel", [...lines, "Content-Length: 0"]));
    expect(answer?.status).toBe(204);
  });

  test("a client that is taken up again later is let in", async () => {
    revoke("client", source, Math.floor(Date.now() / 1_000) - 20);
    await untilTold();
    expect((await sendRaw(peer(), fetchBytes("/")))?.field("relay-status")).toBe("target");
  });

  test("what a proxy's user was granted is forgotten, and asked for anew", async () => {
    const asked = () => node.asked.filter(({ user }) => user === source.sub).length;
    expect(told(await node.ask(forward("/")))[0]).toBe(200);
    expect(told(await node.ask(forward("/")))[0]).toBe(200);
    expect(asked()).toBe(1);
    revoke("handle");
    await untilTold();
    node.source = { key: KEYS[0], cred: newRequestId() };
    expect(told(await node.ask(forward("/")))[0]).toBe(200);
    expect(asked()).toBe(2);
  });
});
