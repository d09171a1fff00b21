import { once } from "node:events";
import { createSecureServer, constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";

/** Requests that share an HTTP/2 connection when it is lost: their target has seen them all. */

let node: NodeProcess;
beforeAll(async () => {
  node = await startNodeProcess({ drainSeconds: 0 });
});
afterAll(() => node.stop());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const LOSSES: readonly (readonly [
  what: string,
  lose: (session: ServerHttp2Session, wire: Socket) => void,
])[] = [
  ["reset", (_session, wire) => wire.resetAndDestroy()],
  ["ended", (_session, wire) => wire.end()],
  ["destroyed with an error", (session) => session.destroy(undefined, constants.NGHTTP2_INTERNAL_ERROR)],
  [
    "retired for all of them and reset",
    (session, wire) => {
      session.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
      setTimeout(() => wire.resetAndDestroy(), 50);
    },
  ],
  [
    "retired for some of them and reset",
    (session, wire) => {
      session.goaway(constants.NGHTTP2_NO_ERROR, 3);
      setTimeout(() => wire.resetAndDestroy(), 50);
    },
  ],
  [
    "retired for an error",
    (session, wire) => {
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 3);
      setTimeout(() => wire.resetAndDestroy(), 50);
    },
  ],
];

describe("an HTTP/2 connection that is lost with four POSTs on it", () => {
  test.each(LOSSES)("%s: none is said not to have arrived, none comes twice", async (_what, lose) => {
    const seen: string[] = [];
    const server = createSecureServer({ cert: node.tls.cert, key: node.tls.key });
    const wires: Socket[] = [];
    server.on("connection", (wire: Socket) => wires.push(wire));
    server.on("sessionError", () => {});
    server.on("session", (session) => session.on("error", () => {}));
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      stream.on("error", () => {});
      stream.resume();
      if (headers[":path"] === "/warm") {
        stream.respond({ ":status": 200 });
        stream.end("ok");
        return;
      }
      seen.push(headers[":path"]!);
      if (seen.length === 4) setTimeout(() => lose(stream.session as ServerHttp2Session, wires[0]!), 100);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => server.close());
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await node.ask({ claims: { url: `${origin}/warm` } });
    const answers = await Promise.all(
      ["/1", "/2", "/3", "/4"].map((path) =>
        node.ask({
          claims: { url: origin + path, htm: "POST", framing: 3, tail: 3 },
          body: "abc123",
        }),
      ),
    );
    await sleep(200);
    expect(seen.toSorted()).toEqual(["/1", "/2", "/3", "/4"]);
    expect(answers.map((answer) => answer?.field("relay-reached"))).toEqual(Array(4).fill("unknown"));
  });
});
