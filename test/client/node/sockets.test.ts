import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createSockets, RelayError, type RelaySocket } from "../../../client/node/index.ts";
import { STREAM_WINDOW_BYTES } from "../../../protocol/limits.ts";
import { allOf } from "../../support/all-of.ts";
import { type StreamRelay, startStreamRelay } from "../../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../../support/tcp-target.ts";

const MB = 1_048_576;

let relay: StreamRelay;
let target: TcpTarget;
/** What the next connections do. */
let serve: (connection: Socket) => void;

beforeAll(async () => {
  relay = await startStreamRelay();
  target = await startTcpTarget((connection) => serve(connection));
});
afterEach(() => {
  relay.refuse = undefined;
  relay.forget();
});
afterAll(async () => {
  await relay?.close();
  await target?.close();
});

const echo = (connection: Socket) => void connection.pipe(connection);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function connect(
  options: { resumeMs?: number; allowHalfOpen?: boolean; signal?: AbortSignal } = {},
): RelaySocket {
  const { resumeMs, ...rest } = options;
  const sockets = createSockets(relay.url, resumeMs === undefined ? {} : { resumeMs });
  return sockets.connect({ host: "127.0.0.1", port: target.port, ...rest });
}

/** The error that a socket ends with. */
async function failure(socket: RelaySocket): Promise<RelayError> {
  socket.resume();
  const [error] = (await once(socket, "error")) as [RelayError];
  expect(error).toBeInstanceOf(RelayError);
  if (!socket.closed) await once(socket, "close");
  return error;
}

describe("a socket", () => {
  test("carries bytes both ways, each once and in order", async () => {
    serve = echo;
    const sent = randomBytes(20 * MB);
    const socket = connect({ allowHalfOpen: true });
    socket.end(sent);
    expect(sha256(await allOf(socket))).toBe(sha256(sent));
    expect([socket.bytesWritten, socket.bytesRead]).toEqual([sent.length, sent.length]);
  });

  test("tells its states, and where it leaves from", async () => {
    serve = echo;
    const socket = connect();
    expect([socket.connecting, socket.pending, socket.readyState]).toEqual([true, true, "opening"]);
    const heard: string[] = [];
    for (const name of ["connect", "ready", "end", "finish", "close"]) {
      socket.on(name, () => heard.push(name));
    }
    await once(socket, "ready");
    expect([socket.connecting, socket.pending, socket.readyState]).toEqual([false, false, "open"]);
    expect(socket).toMatchObject({
      egress: "203.0.113.7",
      node: "node-a",
      remoteAddress: "127.0.0.1",
      remotePort: target.port,
      remoteFamily: "IPv4",
    });
    expect(socket.address()).toEqual({ address: "203.0.113.7", family: "IPv4" });
    socket.resume().end();
    await once(socket, "close");
    expect(socket.readyState).toBe("closed");
    expect(heard).toEqual(["connect", "ready", "finish", "end", "close"]);
  });

  test("signs whom it wants, and where from", async () => {
    serve = echo;
    const sockets = createSockets(relay.url, { node: ["node-a", "node-b"] });
    const socket = sockets.connect({ host: "127.0.0.1", port: target.port });
    await once(socket, "connect");
    socket.destroy();
    expect(relay.seen.at(-1)).toMatchObject({
      act: "stream",
      htm: "GET",
      url: `tcp://127.0.0.1:${target.port}`,
      framing: "none",
      node: ["node-a", "node-b"],
    });
  });

  test("connects late, by port and host or options, with a listener", async () => {
    serve = echo;
    const sockets = createSockets(relay.url);
    for (const to of [
      (socket: RelaySocket, heard: () => void) => socket.connect(target.port, "127.0.0.1", heard),
      (socket: RelaySocket, heard: () => void) =>
        socket.connect({ port: String(target.port), host: "127.0.0.1" }, heard),
    ]) {
      const socket = sockets.socket();
      expect(socket.readyState).toBe("closed");
      await new Promise<void>((heard) => to(socket, heard));
      expect(() => socket.connect(1, "127.0.0.1")).toThrow(/before/);
      socket.destroy();
    }
  });

  test("ends its own side when the target ends, unless it may stay half open", async () => {
    serve = (connection) => connection.end("bye");
    const socket = connect();
    expect((await allOf(socket)).toString()).toBe("bye");
    if (!socket.closed) await once(socket, "close");
    expect(socket.writableFinished).toBe(true);

    const got = Promise.withResolvers<Buffer>();
    serve = (connection) => {
      connection.end("bye");
      allOf(connection).then(got.resolve, got.reject);
    };
    const half = connect({ allowHalfOpen: true });
    await allOf(half);
    half.write("still ");
    half.end("here");
    expect((await got.promise).toString()).toBe("still here");
  });

  test("reads on after it has ended its own side", async () => {
    serve = (connection) => {
      void allOf(connection).then((said) => connection.end(`you said ${said.toString()}`));
    };
    const socket = connect();
    socket.end("this");
    expect((await allOf(socket)).toString()).toBe("you said this");
  });

  test("delivers what was written before it was destroyed", async () => {
    const got = Promise.withResolvers<Buffer>();
    serve = (connection) => void allOf(connection).then(got.resolve, got.reject);
    const socket = connect();
    await once(socket, "connect");
    socket.write(Buffer.alloc(300_000, "x"), () => socket.destroy());
    expect((await got.promise).length).toBe(300_000);
    await expect.poll(() => relay.streams(), { timeout: 10_000 }).toBe(0);
  });

  test("resets the target where it is asked to", async () => {
    for (const end of [
      (socket: RelaySocket) => void socket.resetAndDestroy(),
      (socket: RelaySocket) => void socket.on("error", () => {}).destroy(new Error("mine")),
    ]) {
      const seen = Promise.withResolvers<NodeJS.ErrnoException>();
      serve = (connection) => void connection.on("error", seen.resolve).resume();
      const socket = connect();
      await once(socket, "connect");
      end(socket);
      expect((await seen.promise).code).toBe("ECONNRESET");
    }
  });

  test("sees the target's reset", async () => {
    serve = (connection) => void connection.once("data", () => connection.resetAndDestroy());
    const socket = connect();
    socket.write("x");
    expect(await failure(socket)).toMatchObject({ code: "target_reset", reached: "yes", retryable: false });
  });

  test("is silent for as long as it was told, once for each silence", async () => {
    serve = echo;
    const socket = connect();
    await once(socket, "connect");
    let told = 0;
    socket.setTimeout(100, () => (told += 1));
    socket.on("timeout", () => (told += 10));
    await expect.poll(() => told).toBe(11);
    socket.write("x");
    await expect.poll(() => told).toBe(21);
    socket.setTimeout(0);
    socket.destroy();
  });

  test("ends by a signal, before and after it is connected", async () => {
    serve = echo;
    const controller = new AbortController();
    const socket = connect({ signal: controller.signal });
    await once(socket, "connect");
    const ended = once(socket, "error");
    controller.abort(new Error("enough"));
    expect((await ended)[0]).toMatchObject({ message: "enough" });
    const late = connect({ signal: controller.signal });
    expect((await once(late, "error"))[0]).toMatchObject({ message: "enough" });
  });
});

describe("refusals", () => {
  test("are what the relay said", async () => {
    relay.refuse = new RelayError("target_not_allowed", "not yours", { requestId: "r", retryAfter: 7 });
    expect(await failure(connect())).toMatchObject({
      code: "target_not_allowed",
      reached: "no",
      retryable: false,
      detail: "not yours",
      requestId: "r",
      retryAfter: 7,
    });
    relay.refuse = undefined;
    const nobody = createSockets(relay.url).connect({ host: "127.0.0.1", port: 1 });
    expect(await failure(nobody)).toMatchObject({
      code: "connect_refused",
      reached: "no",
      retryable: true,
      node: "node-a",
    });
  });

  test("without the relay's mark, or without an edge, are told apart", async () => {
    relay.refuse = "page";
    expect(await failure(connect())).toMatchObject({ code: "edge_failed", reached: "unknown" });
    const away = relay.url.replace(/:[0-9]+$/, ":1");
    const socket = createSockets(away).connect({ host: "127.0.0.1", port: 1 });
    expect(await failure(socket)).toMatchObject({ code: "edge_unreachable", reached: "unknown" });
  });

  test("of what can't be asked for, and of a key that can't be read, come the same way", async () => {
    const socket = createSockets(relay.url).connect({ host: "no host", port: 5432 });
    expect(await failure(socket)).toMatchObject({ code: "url_invalid", reached: "no" });
    const url = relay.url.replace(/:[\w-]+@/, ":short@");
    const keyless = createSockets(url).connect({ host: "127.0.0.1", port: 1 });
    expect(await failure(keyless)).toMatchObject({ code: "request_invalid" });
  });

  test("a connection that ends before it is open is opened anew, once", async () => {
    serve = echo;
    relay.refuse = "destroy";
    const before = relay.attempts();
    expect(await failure(connect())).toMatchObject({ code: "edge_unreachable" });
    expect(relay.attempts() - before).toBe(2);
    relay.refuse = "destroy once";
    const socket = connect();
    await once(socket, "connect");
    expect(relay.attempts() - before).toBe(4);
    socket.destroy();
  });
});

describe("backpressure", () => {
  test("a reader that stops holds the target to a window", async () => {
    const total = 16 * MB;
    let written = 0;
    serve = (connection) => {
      const chunk = Buffer.alloc(65_536, "y");
      const write = () => {
        while (written < total) {
          written += chunk.length;
          if (!connection.write(chunk)) return void connection.once("drain", write);
        }
        connection.end();
      };
      write();
    };
    const socket = connect();
    await once(socket, "connect");
    await expect.poll(() => relay.held(), { timeout: 10_000 }).toBeGreaterThan(STREAM_WINDOW_BYTES / 2);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(socket.readableLength).toBeLessThan(MB);
    expect(socket.bytesRead).toBeLessThanOrEqual(2 * STREAM_WINDOW_BYTES);
    expect(written).toBeLessThan(total);
    expect((await allOf(socket)).length).toBe(total);
  });

  test("a target that stops holds the writer to a window", async () => {
    serve = (connection) => void connection.pause();
    const socket = connect();
    await once(socket, "connect");
    const chunk = Buffer.alloc(65_536);
    let accepted = 0;
    const write = () => {
      while (!socket.destroyed && accepted < 64 * MB) {
        accepted += chunk.length;
        if (!socket.write(chunk)) return void socket.once("drain", write);
      }
    };
    write();
    let last = -1;
    await expect
      .poll(
        () => {
          const isStill = accepted === last;
          last = accepted;
          return isStill;
        },
        { interval: 1_500, timeout: 15_000 },
      )
      .toBe(true);
    // The system's own buffers take some megabytes besides.
    expect(accepted).toBeLessThan(32 * MB);
    socket.destroy(undefined);
  });
});

describe("a path that breaks", () => {
  test("costs no byte, however often and wherever it is cut", async () => {
    serve = echo;
    const sent = randomBytes(8 * MB);
    const socket = connect({ allowHalfOpen: true });
    await once(socket, "connect");
    const before = relay.attempts();
    const scissors = setInterval(() => {
      if (Math.random() < 0.5) relay.cut();
    }, 100);
    const got = allOf(socket);
    for (let at = 0; at < sent.length;) {
      const length = 1 + Math.floor(Math.random() * 200_000);
      if (!socket.write(sent.subarray(at, at + length))) await once(socket, "drain");
      at += length;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    socket.end();
    expect(sha256(await got)).toBe(sha256(sent));
    clearInterval(scissors);
    expect(relay.attempts() - before).toBeGreaterThan(3);
    const { resume, node } = relay.seen.at(-1)!;
    expect(node).toBe("node-a");
    expect(resume).toMatchObject({ stream: socket.stream });
  }, 60_000);

  test("that falls silent is noticed, and taken up again", async () => {
    serve = echo;
    const socket = connect();
    await once(socket, "connect");
    const before = relay.attempts();
    relay.freeze();
    socket.write("hello");
    const [first] = (await once(socket, "data")) as [Buffer];
    expect(first.toString()).toBe("hello");
    expect(relay.attempts()).toBeGreaterThan(before);
    socket.destroy();
  }, 40_000);

  test("for too long ends the stream with a typed error", async () => {
    serve = echo;
    const socket = connect({ resumeMs: 1_500 });
    await once(socket, "connect");
    relay.refuse = "destroy";
    relay.cut();
    const lost = performance.now();
    const error = await failure(socket);
    expect(error).toMatchObject({ code: "stream_lost", reached: "yes", retryable: false });
    expect(performance.now() - lost).toBeGreaterThan(1_400);
  });

  test("and an edge that can't be asked for a while, or answers with passing failures, are waited for", async () => {
    serve = echo;
    const socket = connect();
    await once(socket, "connect");
    relay.refuse = new RelayError("no_node", "none in service");
    relay.cut();
    const before = relay.attempts();
    await expect.poll(() => relay.attempts(), { timeout: 10_000 }).toBeGreaterThan(before + 2);
    relay.refuse = undefined;
    socket.write("back");
    expect(String((await once(socket, "data"))[0])).toBe("back");
    socket.destroy();
  });

  test("to a node that has no such stream any more ends it at once", async () => {
    serve = echo;
    const socket = connect();
    await once(socket, "connect");
    relay.forget();
    relay.cut();
    expect(await failure(socket)).toMatchObject({ code: "stream_unknown", reached: "yes" });
  });

  test("and a refusal says what is true of the stream: its target was reached", async () => {
    serve = echo;
    const socket = connect();
    await once(socket, "connect");
    relay.refuse = new RelayError("target_not_allowed", "not any more");
    relay.cut();
    expect(await failure(socket)).toMatchObject({ code: "target_not_allowed", reached: "yes" });
    relay.refuse = undefined;
  });

  test("is healed also for what was destroyed meanwhile", async () => {
    const got = Promise.withResolvers<Buffer>();
    serve = (connection) => void allOf(connection).then(got.resolve, got.reject);
    const socket = connect();
    await once(socket, "connect");
    relay.refuse = "destroy";
    relay.cut();
    socket.end("the last words");
    socket.destroySoon();
    await once(socket, "close");
    relay.refuse = undefined;
    expect((await got.promise).toString()).toBe("the last words");
  });
});
