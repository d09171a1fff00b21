import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { createSecureServer, type Http2Session } from "node:http2";
import { Worker } from "node:worker_threads";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createCa, issueCertificate } from "../../../dev/certificates.ts";
import type { RelayError } from "../../../protocol/errors.ts";
import { parseTargetUrl } from "../../../protocol/targets.ts";
import { Connections } from "../../../relay-node/connections.ts";
import { createDialer } from "../../../relay-node/dialer.ts";
import { Exchange } from "../../../relay-node/exchange.ts";
import { createGuard } from "../../../relay-node/guard.ts";
import type { RequestBody } from "../../../relay-node/request-body.ts";
import { tryBorrowing } from "../../../relay-node/splice/borrowed-reads.ts";
import { eventually } from "../../support/node-log.ts";

/** Exchanges over connections to targets that do what targets should not, or in the moment when they should not. */

const ca = await createCa("Targets");
const { key, cert } = await issueCertificate(ca, { dns: ["localhost"] });

beforeAll(() => tryBorrowing());
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

type Scheme = "http" | "https";

async function startTarget(scheme: Scheme, serve: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const onSocket = (socket: Socket) => {
    sockets.push(socket.on("error", () => {}));
    serve(socket);
  };
  const server = scheme === "https" ? createTlsServer({ key, cert }, onSocket) : createServer(onSocket);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `${scheme}://localhost:${(server.address() as AddressInfo).port}/`;
}

function connectionsOf(): Connections {
  const connections = new Connections(
    createDialer({
      resolver: {
        resolve: () => Promise.resolve({ addresses: [{ address: "127.0.0.1", family: 4 }], cached: true }),
      },
      guard: createGuard({ open: ["127.0.0.0/8"], own: () => [] }),
      egress: { ipv4: "127.0.0.1" },
      ca: [ca.cert],
    }),
    { assertProven: () => {}, mayLeave: () => true },
    { inAll: 8, perClient: 2, seconds: 30 },
  );
  cleanups.push(() => connections.close());
  return connections;
}

interface Outcome {
  readonly reused: boolean;
  readonly sent: boolean;
  status?: number;
  body: string;
  error?: RelayError;
}

/** @param rests whether the answer is to wait behind what has come of it, until it is let go on */
async function ask(
  connections: Connections,
  url: string,
  {
    method = "GET",
    upload,
    rests = () => false,
  }: { method?: string; upload?: RequestBody; rests?: (body: string, goOn: () => void) => boolean } = {},
): Promise<Outcome> {
  const target = parseTargetUrl(url);
  const needs = { repeatable: method !== "POST", exclusive: upload !== undefined };
  const lease = await connections.lease({ clientId: "app", target }, needs, new AbortController().signal);
  const { path, authority } = target;
  const got: { status?: number; body: string; error?: RelayError } = { body: "" };
  return new Promise((done) => {
    const end = (error?: RelayError) => {
      lease.release();
      done({ ...got, reused: lease.reused, sent: exchange.sent, ...(error !== undefined && { error }) });
    };
    const exchange: Exchange = new Exchange(
      {
        head: ({ status }) => (got.status = status),
        write: (chunk) => {
          got.body += chunk.toString("latin1");
          return !rests(got.body, () => exchange.resume());
        },
        isUnread: () => true,
        end: () => end(),
        fail: end,
      },
      upload,
    );
    const framing = upload === undefined ? "none" : "chunked";
    lease.send({ method, path, authority, fields: [], framing, body: upload ?? null }, exchange);
  });
}

const OK = "HTTP/1.1 200 OK\r\n";

describe.each(["http", "https"] as const)("an answer by %s that its reader holds back is whole", (scheme) => {
  test.each([
    ["by its length", `${OK}Connection: close\r\nContent-Length: 10\r\n\r\nhelloworld`, 10],
    [
      "by chunks",
      `${OK}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n`,
      5,
    ],
    ["by the connection's end", `${OK}\r\nhelloworld`, 10],
  ])("though its connection has ended meanwhile: %s", async (_what, answer, restsAt) => {
    const url = await startTarget(scheme, (socket) => void socket.once("data", () => socket.end(answer)));
    const rests = (body: string, goOn: () => void) => {
      if (body.length !== restsAt) return false;
      setTimeout(goOn, 100);
      return true;
    };
    const { status, body, error } = await ask(connectionsOf(), url, { rests });
    expect([status, body, error]).toEqual([200, "helloworld", undefined]);
  });

  test("and one that was cut is not", async () => {
    const url = await startTarget(scheme, (socket) => {
      socket.once("data", () => socket.end(`${OK}Content-Length: 10\r\n\r\nhello`));
    });
    const rests = (_body: string, goOn: () => void) => {
      setTimeout(goOn, 100);
      return true;
    };
    const { body, error } = await ask(connectionsOf(), url, { rests });
    expect([body, error?.code, error?.reached]).toEqual(["hello", "target_closed", "unknown"]);
  });
});

test("what comes behind the answer to a HEAD answers nothing else", async () => {
  const url = await startTarget("http", (socket) => {
    socket.on("data", (chunk) => {
      if (!chunk.toString().startsWith("HEAD")) {
        setTimeout(() => socket.write(`${OK}Content-Length: 4\r\n\r\nreal`), 60);
        return;
      }
      const body = `${OK}Content-Length: 8\r\n\r\nsmuggled`;
      socket.write(`${OK}Content-Length: ${body.length}\r\n\r\n`);
      setTimeout(() => socket.write(body), 30);
    });
  });
  const connections = connectionsOf();
  expect((await ask(connections, url, { method: "HEAD" })).status).toBe(200);
  const { body, reused } = await ask(connections, url);
  expect([body, reused]).toEqual(["real", false]);
});

/** As much as the target takes, without an end. */
function endlessUpload(): RequestBody {
  const body = new EventEmitter();
  let isWanted = false;
  const feed = () => {
    if (!isWanted) return;
    body.emit("data", Buffer.alloc(16_384));
    setImmediate(feed);
  };
  const resume = () => {
    if (isWanted) return;
    isWanted = true;
    feed();
  };
  cleanups.push(() => (isWanted = false));
  const stop = () => {
    isWanted = false;
  };
  return Object.assign(body, { rests: false, resume, pause: stop, destroy: stop }) as unknown as RequestBody;
}

/** Answers what begins, and ends the connection with the most of it unread, which resets it: in a thread of its own, at any moment of the node's. */
const HASTY_TARGET = `
  const { workerData: { answer, secured }, parentPort } = require("node:worker_threads");
  const serve = (socket) => socket.on("error", () => {}).once("data", () => {
    socket.pause();
    socket.pause();
    socket.write(answer, () => setTimeout(() => (socket._parent ?? socket).destroy(), 2));
  });
  const server = secured ? require("node:tls").createServer(secured, serve) : require("node:net").createServer(serve);
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

describe.each(["http", "https"] as const)("an answer by %s to an upload, before a reset", (scheme) => {
  test.each([
    ["that its reader takes", false],
    ["that its reader holds back", true],
  ])("arrives whole: one %s", async (_what, isHeld) => {
    // What the system holds for a connection before it is read, and no more: a reset takes the rest with it.
    const text = "x".repeat(20_000);
    const worker = new Worker(HASTY_TARGET, {
      eval: true,
      workerData: {
        answer: `HTTP/1.1 413 Content Too Large\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
        secured: scheme === "https" && { key, cert },
      },
    });
    cleanups.push(() => worker.terminate());
    const [port] = (await once(worker, "message")) as [number];
    for (let round = 0; round < 10; round++) {
      let hasRested = false;
      const rests = (_body: string, goOn: () => void) => {
        if (!isHeld || hasRested) return false;
        hasRested = true;
        setTimeout(goOn, 20);
        return true;
      };
      const upload = endlessUpload();
      const { status, body, error } = await ask(connectionsOf(), `${scheme}://localhost:${port}/`, {
        method: "POST",
        upload,
        rests,
      });
      upload.destroy();
      expect([status, body.length, error?.message]).toEqual([413, text.length, undefined]);
    }
  });
});

/** An upload of which no byte has come. */
function silentUpload(): RequestBody {
  const body = Object.assign(new EventEmitter(), {
    rests: false,
    resume: () => {},
    pause: () => {},
    destroy: () => {},
  });
  return body as unknown as RequestBody;
}

test.each([
  ["an answer", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"],
  ["an end", ""],
])("%s before a byte of an upload has left is none of its own, and reached nobody", async (_what, said) => {
  let seen = "";
  const url = await startTarget("http", (socket) => {
    socket.on("data", (chunk) => (seen += chunk.toString()));
    setTimeout(() => socket.end(said), 50);
  });
  const { status, sent, error } = await ask(connectionsOf(), url, { method: "POST", upload: silentUpload() });
  expect([status, sent, error?.reached, seen]).toEqual([undefined, false, "no", ""]);
});

test("a target that speaks HTTP/2 has no connection made ahead, and none is counted", async () => {
  const sessions: Http2Session[] = [];
  const server = createSecureServer({ key, cert }, (_request, response) => response.end("ok"));
  server.on("session", (session) => sessions.push(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
  const connections = connectionsOf();
  for (let asked = 0; asked < 3; asked++) expect((await ask(connections, url)).body).toBe("ok");
  sessions[0]!.destroy();
  await eventually(() => connections.size === 0, "its connection is gone");
  await pause(100);
  expect([connections.size, connections.spares.size, sessions.length]).toEqual([0, 0, 1]);
  expect((await ask(connections, url)).body).toBe("ok");
});
