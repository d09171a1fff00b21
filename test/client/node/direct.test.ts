import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import https from "node:https";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSockets, RelayError, type RelaySocket } from "../../../client/node/index.ts";
import { type Certificate, createCa, issueCertificate } from "../../../dev/certificates.ts";
import { allOf } from "../../support/all-of.ts";
import { type BlackHole, startBlackHole } from "../../support/black-hole.ts";
import { type DirectEdge, type KnownNode, startDirectEdge } from "../../support/direct-edge.ts";
import { Hop } from "../../support/hop.ts";
import { type NodeHere, startNodeHere } from "../../support/node-here.ts";
import { eventually } from "../../support/node-log.ts";
import { run } from "../../support/run.ts";
import { nodeIdentity } from "../../support/node-process.ts";
import { freePort } from "../../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../../support/tcp-target.ts";

/** Sockets that go straight to nodes: real ones, by grants that an edge gives for them. */
const MB = 1_048_576;

let edge: DirectEdge;
let one: NodeHere;
let full: NodeHere;
/** A node whose certificate nobody here knows. */
let unknown: NodeHere;
let echo: TcpTarget;
let hole: BlackHole;
let closedPort: number;
/** Of whoever stands in a node's place. */
let certificate: Certificate;

beforeAll(async () => {
  const ca = await createCa("Direct test CA");
  certificate = await issueCertificate(ca, { dns: ["localhost"], ip: ["127.0.0.1"] });
  const [id, fullId] = [await nodeIdentity("node-1", ca), await nodeIdentity("node-2", ca)];
  [one, full, unknown, echo, hole, closedPort] = await Promise.all([
    startNodeHere(undefined, undefined, id),
    startNodeHere({ maxStreams: 0 }, undefined, fullId),
    startNodeHere(),
    startTcpTarget((socket) => socket.pipe(socket)),
    startBlackHole("127.0.0.9"),
    freePort(),
  ]);
  // As NODE_EXTRA_CA_CERTS has it from a process' start on.
  tls.setDefaultCACertificates([...tls.getCACertificates("default"), ca.cert]);
  edge = await startDirectEdge([]);
}, 60_000);
beforeEach(() => {
  edge.nodes = [one];
  edge.refuse = undefined;
  edge.seen.length = 0;
});
afterAll(async () => {
  await edge?.close();
  await Promise.all([one?.stop(), full?.stop(), unknown?.stop(), echo?.close(), hole?.close()]);
});

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const target = () => ({ host: "127.0.0.1", port: echo.port });
const direct = () => createSockets(edge.url, { via: "direct" });
const paths = () => edge.seen.map(({ path }) => path);
/** The same node, told to be elsewhere. */
const elsewhere = (node: KnownNode, url: string): KnownNode => ({
  id: node.id,
  port: node.port,
  ca: node.ca,
  grant: node.grant,
  url,
});

async function echoed(socket: RelaySocket): Promise<string> {
  socket.write("hello");
  const [said] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return said.toString();
}

async function failure(socket: RelaySocket): Promise<RelayError> {
  const [error] = (await once(socket, "error")) as [RelayError];
  expect(error).toBeInstanceOf(RelayError);
  return error;
}

describe("a socket that goes straight to a node", () => {
  test("carries bytes both ways, with the edge asked for grants alone", async () => {
    const sent = randomBytes(8 * MB);
    const socket = direct().connect({ ...target(), allowHalfOpen: true });
    socket.end(sent);
    expect(sha256(await allOf(socket))).toBe(sha256(sent));
    expect(socket).toMatchObject({ node: "node-1", egress: "127.0.0.2" });
    expect(edge.seen).toEqual([
      {
        path: "/grants",
        claims: expect.objectContaining({ act: "stream", htm: "GET", url: `tcp://127.0.0.1:${echo.port}` }),
      },
    ]);
  });

  test("makes no more of a small message than its bytes, here and at the node", async () => {
    const socket = direct().connect(target());
    const message = Buffer.alloc(100, 7);
    const told = Buffer.alloc(message.length);
    let come = 0;
    socket.on("data", (chunk: Buffer) => (come += chunk.copy(told, come)));
    const echoOnce = async () => {
      come = 0;
      socket.write(message);
      while (come < message.length) await once(socket, "data");
      expect(told.equals(message)).toBe(true);
    };
    for (let said = 0; said < 50; said++) await echoOnce();
    let grown = 0;
    for (let said = 0; said < 200; said++) {
      const before = process.memoryUsage().arrayBuffers;
      await echoOnce();
      // Less, where garbage was collected meanwhile.
      grown += Math.max(0, process.memoryUsage().arrayBuffers - before);
    }
    socket.destroy();
    // Node makes buffers of 64 kB that small ones are parts of, once in some hundred messages; were it one for each read, it would be 26 MB.
    expect(grown, "bytes of buffers").toBeLessThan(3 * MB);
  });

  test("asks by a connection that is kept, and by another one where that was closed", async () => {
    const sockets = direct();
    const before = edge.connections();
    for (let count = 0; count < 3; count++) expect(await echoed(sockets.connect(target()))).toBe("hello");
    expect(edge.connections()).toBe(before + 1);
    edge.closeIdle();
    expect(await echoed(sockets.connect(target()))).toBe("hello");
    expect(edge.connections()).toBe(before + 2);
    expect(paths()).toEqual(["/grants", "/grants", "/grants", "/grants"]);
  });

  test("takes the next node where the first breaks off, and leaves that one alone", async () => {
    const broken = await startTcpTarget((socket) => void socket.destroy());
    edge.nodes = [elsewhere(full, `https://localhost:${broken.port}`), one];
    const sockets = direct();
    expect(await echoed(sockets.connect(target()))).toBe("hello");
    expect(await echoed(sockets.connect(target()))).toBe("hello");
    expect(broken.sockets).toHaveLength(1);
    await broken.close();
    expect(paths()).toEqual(["/grants", "/grants"]);
  });

  test("takes the next node where the first says that it is full", async () => {
    edge.nodes = [full, one];
    const socket = direct().connect(target());
    expect(await echoed(socket)).toBe("hello");
    expect(socket.node).toBe("node-1");
    expect(full.log()).toContainEqual(expect.objectContaining({ decision: "refused", reason: "node_full" }));
    expect(paths()).toEqual(["/grants"]);
  });

  test.each([
    ["ends without an answer", "destroy", {}],
    ["is a page of something in between", 503, {}],
    ["is another node's", 503, { "Relay-Error": "connect_refused", "Relay-Node": "node-9" }],
    ["says that it is another node", 403, { "Relay-Error": "grant_node", "Relay-Node": "node-9" }],
  ] as const)("takes the next node where what is reached %s", async (_, status, fields) => {
    let asked = 0;
    const between = https.createServer(certificate).on("upgrade", (_request, socket) => {
      asked += 1;
      if (status === "destroy") return socket.destroy();
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      return socket.end(`HTTP/1.1 ${status} No\r\n${lines.join("")}Content-Length: 0\r\n\r\n`);
    });
    between.listen(0, "127.0.0.1");
    await once(between, "listening");
    const { port } = between.address() as AddressInfo;
    edge.nodes = [elsewhere(full, `https://localhost:${port}`), one];
    expect(await echoed(direct().connect(target()))).toBe("hello");
    expect(asked).toBe(1);
    expect(paths()).toEqual(["/grants"]);
    between.close();
  });

  test("is told what the nodes say of themselves where they all do", async () => {
    edge.nodes = [full];
    expect(await failure(direct().connect(target()))).toMatchObject({ code: "node_full", node: "node-2" });
    expect(paths()).toEqual(["/grants"]);
  });

  test("takes what a node says of the target, and what the edge says, for the last word", async () => {
    edge.nodes = [one, full];
    const before = full.log().length;
    const refused = direct().connect({ host: "127.0.0.1", port: closedPort });
    expect(await failure(refused)).toMatchObject({ code: "connect_refused", reached: "no" });
    edge.refuse = new RelayError("target_not_allowed", "not for you");
    expect(await failure(direct().connect(target()))).toMatchObject({ code: "target_not_allowed" });
    expect(full.log()).toHaveLength(before);
    expect(paths()).toEqual(["/grants"]);
  });

  test("can be given up while the edge is silent, and keeps no process then", async () => {
    edge.refuse = false;
    const socket = direct().connect(target());
    await eventually(() => Promise.resolve(edge.waiting() === 1), "the edge is asked");
    socket.destroy();
    await eventually(() => Promise.resolve(edge.waiting() === 0), "the question is taken back");

    const code = `
      import { createSockets } from ${JSON.stringify(new URL("../../../client/node/index.ts", import.meta.url).href)};
      const socket = createSockets(process.env.RELAY, { via: "direct" }).connect({ host: "127.0.0.1", port: 1 });
      setTimeout(() => socket.unref(), 500);
    `;
    const ended = await run(process.execPath, ["--input-type=module", "-e", code], {
      env: { RELAY: edge.url },
    });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
  });

  test("knows its ways", () => {
    expect(() => createSockets(edge.url, { via: "detour" as never })).toThrow(/via is none of edge, direct/);
  });
});

describe("where no node is reached", () => {
  test.each([
    ["refuses connections", () => elsewhere(one, `https://localhost:${closedPort}`)],
    ["says nothing", () => elsewhere(one, `https://127.0.0.9:${hole.port}`)],
    ["has no name", () => elsewhere(one, "https://nowhere.invalid")],
  ])(
    "a socket goes by the edge: a node that %s",
    async (_, node) => {
      edge.nodes = [node()];
      const sockets = direct();
      const socket = sockets.connect(target());
      expect(await echoed(socket)).toBe("hello");
      expect(socket.node).toBe("node-1");
      expect(paths()).toEqual(["/grants", "/stream"]);
      const [asked, byEdge] = edge.seen.map(({ claims }) => claims.jti);
      expect(asked).not.toBe(byEdge);
      // And from then on at once.
      expect(await echoed(sockets.connect(target()))).toBe("hello");
      expect(paths()).toEqual(["/grants", "/stream", "/stream"]);
    },
    20_000,
  );

  test("a socket goes by the edge also where another node is full", async () => {
    edge.nodes = [elsewhere(one, `https://localhost:${closedPort}`), full];
    const sockets = direct();
    expect(await echoed(sockets.connect(target()))).toBe("hello");
    // That one could be reached, so that the direct way is still tried.
    expect(await echoed(sockets.connect(target()))).toBe("hello");
    expect(paths()).toEqual(["/grants", "/stream", "/grants", "/stream"]);
  });

  describe("for its certificate", () => {
    afterEach(() => {
      delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    });

    test.each([undefined, "0"])(
      "nothing is sent to it, with NODE_TLS_REJECT_UNAUTHORIZED=%s",
      async (value) => {
        if (value !== undefined) process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = value;
        edge.nodes = [unknown];
        const socket = direct().connect(target());
        expect(await echoed(socket)).toBe("hello");
        // What the node saw is the edge's.
        expect(paths()).toEqual(["/grants", "/stream"]);
        const [mine, byEdge] = edge.seen.map(({ claims }) => claims.jti);
        const seen = new Set(unknown.log().map(({ jti }) => jti));
        expect([seen.has(mine), seen.has(byEdge)]).toEqual([false, true]);
      },
    );
  });
});

describe("a stream whose path breaks", () => {
  test("goes on straight at its node, and no byte is lost", async () => {
    const hop = await Hop.before(`https://localhost:${one.port}`);
    edge.nodes = [elsewhere(one, `https://localhost:${hop.port}`), full];
    const sent = randomBytes(4 * MB);
    const socket = direct().connect({ ...target(), allowHalfOpen: true });
    const got = allOf(socket);
    for (let at = 0; at < sent.length; at += MB) {
      if (!socket.write(sent.subarray(at, at + MB))) await once(socket, "drain");
      hop.break("reset");
    }
    socket.end();
    expect(sha256(await got)).toBe(sha256(sent));
    const [first, ...resumes] = edge.seen;
    expect(first!.claims.resume).toBeUndefined();
    expect(resumes.length).toBeGreaterThan(0);
    for (const { path, claims } of resumes) {
      expect([path, claims.node]).toEqual(["/grants", "node-1"]);
      expect(claims.resume).toMatchObject({ stream: socket.stream });
    }
    hop.close();
  });

  test("goes on by the edge where its node is out of reach, and no byte is lost", async () => {
    const hop = await Hop.before(`https://localhost:${one.port}`);
    edge.nodes = [elsewhere(one, `https://localhost:${hop.port}`)];
    const sent = randomBytes(4 * MB);
    const socket = direct().connect({ ...target(), allowHalfOpen: true });
    const got = allOf(socket);
    if (!socket.write(sent.subarray(0, 2 * MB))) await once(socket, "drain");
    hop.close();
    socket.end(sent.subarray(2 * MB));
    expect(sha256(await got)).toBe(sha256(sent));
    expect(paths()).toEqual(["/grants", "/grants", "/stream"]);
    for (const { claims } of edge.seen.slice(1)) {
      expect(claims).toMatchObject({ node: "node-1", resume: { stream: socket.stream } });
    }
  });
});

describe("grants", () => {
  test.each([
    ["no JSON", "grants: eyJhbGciOiJIUzI1NiJ9.secret.secret"],
    ["none", '{"grants":[]}'],
    ["null", "null"],
    ["four", grantsOf({}, {}, {}, {})],
    ["no node", grantsOf({ node: 1 })],
    ["plain http", grantsOf({ url: "http://localhost:1" })],
    ["a path", grantsOf({ url: "https://localhost/x" })],
    ["a user", grantsOf({ url: "https://a:b@localhost" })],
    ["no URL", grantsOf({ url: "localhost" })],
    ["no JWS", grantsOf({ grant: "secret" })],
    ["more lines", grantsOf({ grant: "secret.secret.secret\r\nX: y" })],
  ])("that can't be right are refused, and are not shown: %s", async (_, answer) => {
    edge.refuse = answer;
    const error = await failure(direct().connect(target()));
    expect(error).toMatchObject({ code: "answer_invalid", reached: "no" });
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toMatch(/secret|eyJ/);
    expect(paths()).toEqual(["/grants"]);
  });

  test("are in no error, whatever fails", async () => {
    edge.nodes = [full];
    const refused = await failure(direct().connect(target()));
    const gone = await failure(
      createSockets(edge.url.replace(/:\d+$/, `:${closedPort}`), { via: "direct" }).connect(target()),
    );
    expect(gone).toMatchObject({ code: "edge_unreachable", reached: "no" });
    for (const error of [refused, gone]) {
      expect(inspect(error, { depth: Infinity, showHidden: true })).not.toMatch(/eyJ|Bearer/);
    }
  });
});

function grantsOf(...changes: readonly object[]): string {
  const good = { node: "node-1", url: "https://localhost:1", grant: "secret.secret.secret" };
  return JSON.stringify({ grants: changes.map((change) => Object.assign({}, good, change)) });
}
