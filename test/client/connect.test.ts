import { createHash, randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { connectStream, type RelayConnection } from "../../client/connect.ts";
import { createRelay, RelayError } from "../../client/index.ts";
import { openWebWire } from "../../client/web-wire.ts";
import { createSigner } from "../../client/signer.ts";
import { STREAM_WINDOW_BYTES } from "../../protocol/limits.ts";
import { allOf } from "../support/all-of.ts";
import { type StreamRelay, startStreamRelay } from "../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

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
  await Promise.all([relay?.close(), target?.close()]);
});

const there = () => target.sockets.at(-1)!;
const echo = (connection: Socket) => void connection.pipe(connection);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const connect = (port = target.port) => createRelay(relay.url).connect({ host: "127.0.0.1", port });

async function all({ readable }: Pick<RelayConnection, "readable">): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readable) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Writes it all in pieces, then ends this side. */
async function send({ writable }: RelayConnection, bytes: Uint8Array, pauseMs?: number): Promise<void> {
  const writer = writable.getWriter();
  for (let at = 0; at < bytes.length; at += 100_000) {
    await writer.write(bytes.subarray(at, at + 100_000));
    if (pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  await writer.close();
}

describe("a connection", () => {
  test("carries bytes both ways, and tells where it leaves from", async () => {
    serve = echo;
    const connection = connect();
    const sent = randomBytes(12 * MB);
    const [got] = await Promise.all([all(connection), send(connection, sent)]);
    expect(sha256(got)).toBe(sha256(sent));
    expect(await connection.opened).toEqual({
      node: "node-a",
      egress: "203.0.113.7",
      stream: expect.stringMatching(/^[\w-]{22}$/),
    });
    await connection.closed;
  });

  test("can be half open either way", async () => {
    serve = (socket) => void allOf(socket).then((said) => socket.end(`you said ${said.toString()}`));
    const one = connect();
    await send(one, Buffer.from("this"));
    expect(Buffer.from(await all(one)).toString()).toBe("you said this");

    const got = Promise.withResolvers<Buffer>();
    serve = (socket) => {
      socket.end("bye");
      allOf(socket).then(got.resolve, got.reject);
    };
    const other = connect();
    expect(Buffer.from(await all(other)).toString()).toBe("bye");
    await send(other, Buffer.from("still here"));
    expect((await got.promise).toString()).toBe("still here");
  });

  test("takes chunks that their writer uses again, of every kind of bytes", async () => {
    serve = echo;
    const connection = connect();
    const writer = connection.writable.getWriter() as WritableStreamDefaultWriter<unknown>;
    const chunk = Buffer.from("abc");
    await writer.write(chunk);
    chunk.fill("x");
    await writer.write(new Uint16Array([0x6564]).buffer);
    await writer.write(new DataView(Buffer.from("-f-").buffer, Buffer.from("-f-").byteOffset, 3));
    await writer.close();
    expect((await all(connection)).length).toBe(8);
    await expect(
      connect()
        .writable.getWriter()
        .write("text" as never),
    ).rejects.toThrow(TypeError);
  });

  for (const [what, end] of [
    ["cancelled", ({ readable }: RelayConnection) => readable.cancel()],
    ["aborted", ({ writable }: RelayConnection) => writable.abort(new Error("mine"))],
  ] as const) {
    test(`is reset when it is ${what}`, async () => {
      const seen = Promise.withResolvers<NodeJS.ErrnoException>();
      serve = (socket) => void socket.on("error", seen.resolve).resume();
      const connection = connect();
      await connection.opened;
      await end(connection);
      expect((await seen.promise).code).toBe("ECONNRESET");
      await connection.closed;
    });
  }

  describe("is reset at once when it is aborted", () => {
    const abort = async ({ writable }: RelayConnection, work: "write" | "close") => {
      const writer = writable.getWriter();
      writer.closed.catch(() => {});
      const waiting = work === "write" ? writer.write(new Uint8Array(50 * MB)) : writer.close();
      const outcome = waiting.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      await new Promise((resolve) => setTimeout(resolve, 500));
      // By the standard an abort fails with the close that it interrupts.
      await writer.abort(new Error("mine")).catch((error: unknown) => {
        if (work === "write") throw error;
      });
      return outcome;
    };

    test("while a write waits for a target that takes nothing", async () => {
      const seen = Promise.withResolvers<NodeJS.ErrnoException>();
      serve = (socket) => void socket.on("error", seen.resolve).pause();
      const connection = connect();
      await connection.opened;
      expect(await abort(connection, "write")).toMatchObject({ message: "mine" });
      there().resume();
      expect((await seen.promise).code).toBe("ECONNRESET");
      await connection.closed;
    });

    test.each(["write", "close"] as const)("while a %s waits for the connection", async (work) => {
      relay.refuse = "silent";
      const connection = connect();
      expect(await abort(connection, work)).toBeInstanceOf(Error);
      await expect(connection.opened).rejects.toMatchObject({ code: "stream_cancelled" });
      await connection.closed;
    });
  });

  test("delivers what was written before it was closed", async () => {
    const got = Promise.withResolvers<Buffer>();
    serve = (socket) => void allOf(socket).then(got.resolve, got.reject);
    const connection = connect();
    const writer = connection.writable.getWriter();
    await writer.write(new Uint8Array(500_000));
    const closed = connection.close();
    expect((await got.promise).length).toBe(500_000);
    await closed;
    expect((await connection.readable.getReader().read()).done).toBe(true);
    await expect(writer.write(new Uint8Array(1))).rejects.toMatchObject({ code: "stream_cancelled" });
  });

  test("may be closed before it is open", async () => {
    relay.refuse = "silent";
    const connection = connect();
    await connection.close();
    await expect(connection.opened).rejects.toMatchObject({ code: "stream_cancelled" });
  });
});

describe("failures", () => {
  test("are what the relay said, to all who ask", async () => {
    relay.refuse = new RelayError("target_not_allowed", "not yours");
    const connection = connect();
    const expected = { name: "RelayError", code: "target_not_allowed", reached: "no", detail: "not yours" };
    await expect(connection.opened).rejects.toMatchObject(expected);
    await expect(connection.closed).rejects.toMatchObject(expected);
    await expect(all(connection)).rejects.toMatchObject(expected);
    await expect(connection.writable.getWriter().write(new Uint8Array(1))).rejects.toMatchObject(expected);
    relay.refuse = undefined;
    await expect(connect(1).opened).rejects.toMatchObject({ code: "connect_refused", retryable: true });
    const wrong = createRelay(relay.url).connect({ host: "no host", port: 1 });
    await expect(wrong.opened).rejects.toMatchObject({ code: "url_invalid" });
  });

  test("that nobody asks for harm nobody", async () => {
    relay.refuse = new RelayError("target_not_allowed", "not yours");
    let unhandled = 0;
    const count = () => (unhandled += 1);
    process.on("unhandledRejection", count);
    connect();
    const before = relay.attempts();
    await expect.poll(() => relay.attempts()).toBeGreaterThanOrEqual(before);
    await new Promise((resolve) => setTimeout(resolve, 200));
    process.off("unhandledRejection", count);
    expect(unhandled).toBe(0);
  });

  test("of the target end both directions", async () => {
    serve = (socket) => void socket.once("data", () => socket.resetAndDestroy());
    const connection = connect();
    await connection.writable.getWriter().write(new Uint8Array(1));
    await expect(all(connection)).rejects.toMatchObject({ code: "target_reset", reached: "yes" });
    await expect(connection.closed).rejects.toMatchObject({ code: "target_reset" });
  });
});

test("a reader that stops holds the target to a window", async () => {
  let written = 0;
  serve = (socket) => {
    const chunk = Buffer.alloc(65_536);
    const write = () => {
      while (written < 32 * MB) {
        written += chunk.length;
        if (!socket.write(chunk)) return void socket.once("drain", write);
      }
      socket.end();
    };
    write();
  };
  const connection = connect();
  const reader = connection.readable.getReader();
  await reader.read();
  await expect.poll(() => relay.held(), { timeout: 10_000 }).toBeGreaterThan(STREAM_WINDOW_BYTES / 2);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(relay.held()).toBeLessThanOrEqual(STREAM_WINDOW_BYTES);
  expect(written).toBeLessThan(32 * MB);
  await reader.cancel();
});

describe("a path that breaks", () => {
  test("costs no byte, however often it is cut", async () => {
    serve = echo;
    const connection = connect();
    const sent = randomBytes(6 * MB);
    const before = relay.attempts();
    const scissors = setInterval(() => relay.cut(), 150);
    const [got] = await Promise.all([all(connection), send(connection, sent, 20)]);
    clearInterval(scissors);
    expect(sha256(got)).toBe(sha256(sent));
    expect(relay.attempts() - before).toBeGreaterThan(3);
    await connection.closed;
  }, 60_000);

  test("for too long ends both directions with a typed error", async () => {
    serve = echo;
    const connection = connectStream(
      { host: "127.0.0.1", port: target.port },
      {
        ...createSigner(relay.url),
        node: undefined,
        now: Date.now,
        openWire: openWebWire,
        underlying: () => fetch,
        resumeMs: 1_000,
      },
    );
    await connection.opened;
    relay.refuse = "destroy";
    relay.cut();
    const lost = { code: "stream_lost", reached: "yes", retryable: false };
    await expect(all(connection)).rejects.toMatchObject(lost);
    await expect(connection.writable.getWriter().write(new Uint8Array(1))).rejects.toMatchObject(lost);
    await expect(connection.closed).rejects.toMatchObject(lost);
  });
});
