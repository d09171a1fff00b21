import { createHash } from "node:crypto";
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type AnswerSink, Exchange } from "../../relay-node/exchange.ts";
import { Connections, type Lease } from "../../relay-node/connections.ts";
import { createDialer } from "../../relay-node/dialer.ts";
import { createGuard } from "../../relay-node/guard.ts";
import { Http1Connection } from "../../relay-node/http1/connection.ts";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import type { RawAnswer } from "../support/raw-http.ts";

/** What happens to connections that are used again: none of it may change a request's answer, or lie about its fate. */

let node: NodeProcess;
beforeAll(async () => {
  node = await startNodeProcess({ drainSeconds: 0 });
});
afterAll(() => node.stop());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const outcome = (answer: RawAnswer | undefined) => [
  answer?.field("relay-error"),
  answer?.field("relay-reached"),
];

/** A target whose every connection is in the test's hands. */
async function target(
  onRequest: (socket: Socket, count: number) => void,
): Promise<{ url: string; stop(): void }> {
  let count = 0;
  const server = createServer((socket) => {
    socket.on("error", () => {}).on("data", () => onRequest(socket, ++count));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, stop: () => server.close() };
}

describe("a repeat", () => {
  test("that reaches nobody doesn't hide that the first attempt may have", async () => {
    const origin = await target((socket, count) => {
      if (count === 1) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      else {
        origin.stop();
        setTimeout(() => socket.destroy(), 50);
      }
    });
    expect((await node.ask({ claims: { url: origin.url } }))?.status).toBe(200);
    expect(outcome(await node.ask({ claims: { url: origin.url } }))).toEqual(["connect_refused", "unknown"]);
  });
});

describe("a request's id", () => {
  test("is consumed before its body is waited for", async () => {
    const origin = await target((socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    const body = "pay=100";
    const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    const claims = { url: origin.url, htm: "POST", framing: body.length, digest, jti: newRequestId() };
    const lines = [`Content-Length: ${body.length}`];
    // The head and half a body: the rest never comes.
    const stalled = node.ask({ claims, lines, body: body.slice(0, 3) });
    await sleep(200);
    expect(outcome(await node.ask({ claims, lines, body }))).toEqual(["token_replayed", "unknown"]);
    void stalled;
  });
});

describe("HTTP/2", () => {
  test("a connection that its target retires serves what is under way to its end", async () => {
    const server = createSecureServer({ cert: node.tls.cert, key: node.tls.key });
    server.on("sessionError", () => {});
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      stream.on("error", () => {}).respond({ ":status": 200 });
      if (headers[":path"] !== "/slow") stream.end("ok");
      else setTimeout(() => stream.end("whole"), 500);
      // GOAWAY(NO_ERROR), as servers send when a connection has served long enough.
      if (headers[":path"] === "/retire") stream.session!.close();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => server.close());
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await node.ask({ claims: { url: `${origin}/` } });
    const slow = node.ask({ claims: { url: `${origin}/slow`, htm: "POST" } });
    await sleep(150);
    expect((await node.ask({ claims: { url: `${origin}/retire` } }))?.body).toContain("ok");
    expect((await slow)?.body).toContain("whole");
  });
});

describe("a request that is given up before it was written", () => {
  test("leaves its connection to the next one, and nothing of it is written", async () => {
    const heads: string[] = [];
    const server = createServer((socket) => {
      socket
        .on("error", () => {})
        .on("data", (bytes: Buffer) => {
          heads.push(bytes.toString().split("\r\n")[0]!);
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => server.close());
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(socket, "connect");
    const connection = new Http1Connection(socket, () => {});
    cleanups.push(() => connection.destroy());
    const send = (path: string) =>
      new Promise<void>((done, failed) => {
        const request = {
          method: "GET",
          path,
          authority: "x",
          fields: [],
          framing: "none",
          body: null,
        } as const;
        const handler = {
          onRequestStart: () => {},
          onRequestSent: () => {},
          onAnswer: () => {},
          onResponseData: () => {},
          onResponseEnd: () => done(),
          onResponseError: (_control: unknown, error: Error) => failed(error),
        };
        connection.send(request, handler, false);
      });
    await send("/1");
    void send("/2");
    connection.forgo();
    await send("/3");
    expect(heads).toEqual(["GET /1 HTTP/1.1", "GET /3 HTTP/1.1"]);
  });
});

describe("bytes that nobody asked for, on an idle connection", () => {
  /** The target runs in a thread of its own, so that its bytes come while this thread is busy and can't have read them. */
  const TARGET = `
    const { parentPort } = require("node:worker_threads");
    const server = require("node:net").createServer({ noDelay: true }, (socket) => {
      let count = 0;
      socket.on("error", () => {});
      parentPort.on("message", (bytes) => socket.destroyed || socket.write(bytes));
      socket.on("data", () => {
        const stored = "HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\nX-Forged: yes\\r\\n\\r\\nforged";
        socket.write(++count === 1
          ? "HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nfirst"
          : "HTTP/1.1 200 OK\\r\\nContent-Length: " + stored.length + "\\r\\n\\r\\n" + stored);
      });
    });
    server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));`;

  const ask = (lease: Lease, origin: string): Promise<{ body?: string; error?: string; reached?: string }> =>
    new Promise((done) => {
      let body = "";
      const sink: AnswerSink = {
        head: () => {},
        write: (chunk) => {
          body += chunk.toString();
          return true;
        },
        isUnread: () => false,
        end: () => {
          lease.release();
          done({ body });
        },
        fail: ({ code, reached }) => {
          lease.release();
          done({ error: code, reached });
        },
      };
      const { authority } = parseTargetUrl(`${origin}/`);
      const request = {
        method: "POST",
        path: "/",
        authority,
        fields: [],
        framing: 1,
        body: Buffer.from("x"),
      };
      lease.send(request, new Exchange(sink, undefined));
    });

  test.each([
    { what: "a whole answer", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison" },
    { what: "the start of an interim one", bytes: "HTTP/1.1 103 Early Hints\r\nX: " },
  ])("$what: the connection goes, and nothing was sent on it", async ({ bytes }) => {
    const worker = new Worker(TARGET, { eval: true });
    cleanups.push(() => worker.terminate());
    const [port] = (await once(worker, "message")) as [number];
    const url = parseTargetUrl(`http://127.0.0.1:${port}/`);
    const connections = new Connections(
      createDialer({
        resolver: {
          resolve: () => Promise.resolve({ addresses: [{ address: "127.0.0.1", family: 4 }], cached: true }),
        },
        guard: createGuard({ open: ["127.0.0.0/8"], own: () => [] }),
        egress: { ipv4: "127.0.0.1" },
      }),
      { assertProven: () => {}, mayLeave: () => true },
    );
    cleanups.push(() => connections.close());
    const lease = () =>
      connections.lease(
        { clientId: "app", target: url },
        { repeatable: false, exclusive: false },
        new AbortController().signal,
      );
    expect(await ask(await lease(), url.origin)).toEqual({ body: "first" });
    await sleep(50);
    const warm = await lease();
    expect(warm.reused).toBe(true);
    worker.postMessage(bytes);
    for (const until = performance.now() + 100; performance.now() < until;);
    expect(await ask(warm, url.origin)).toEqual({ error: "connect_failed", reached: "no" });
  });
});
