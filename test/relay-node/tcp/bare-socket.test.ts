import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BareSocket } from "../../../relay-node/tcp/bare-socket.ts";
import { tryBareSockets } from "../../../relay-node/tcp/trial.ts";
import { freePort } from "../../support/stack.ts";
import { eventually } from "../../support/node-log.ts";

/** Sockets without streams, against Node's own at the other end. */

let server: Server;
let port: number;
let serve: (socket: Socket) => void;
beforeAll(async () => {
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});
beforeEach(() => {
  serve = (socket) => void socket.pipe(socket);
});
afterAll(() => server.close());

const local = { localAddress: "127.0.0.1", localPort: 0 };
const to = (at: number) => BareSocket.connect({ address: "127.0.0.1", port: at, family: 4, ...local });
/** What it tells, in order. */
function told(socket: BareSocket): string[] {
  const events: string[] = [];
  for (const name of ["connect", "end", "close"]) socket.on(name, () => events.push(name));
  socket.on("error", ({ code }: NodeJS.ErrnoException) => events.push(code ?? "?"));
  return events;
}

/** An error says no more here than that. */
const closed = (socket: BareSocket) => new Promise<void>((done) => void socket.once("close", () => done()));

/** A peer that resets as soon as it hears something. */
const resets = (socket: Socket) => void socket.once("data", () => socket.resetAndDestroy());

async function connected(): Promise<BareSocket> {
  const socket = to(port);
  await once(socket, "connect");
  return socket;
}

test("this Node's are as expected", async () => {
  expect(await tryBareSockets()).toBe(true);
});

test("it tells its peer, echoes, and is closed when both sides have ended", async () => {
  const socket = await connected();
  const events = told(socket);
  expect(socket.remoteAddress).toBe("127.0.0.1");
  let heard = "";
  socket.on("data", (bytes: Buffer) => (heard += bytes.toString()));
  socket.resume().write("one ");
  socket.end("two");
  expect(socket.writable).toBe(false);
  await closed(socket);
  expect(heard).toBe("one two");
  expect(events).toEqual(["end", "close"]);
  expect([socket.readableEnded, socket.writableFinished, socket.destroyed, socket.closed]).toEqual(
    Array.from({ length: 4 }, () => true),
  );
});

test("what its peer says after its end is heard", async () => {
  serve = (socket) => void socket.resume().on("end", () => setTimeout(() => socket.end("late"), 50));
  const socket = await connected();
  let heard = "";
  socket.on("data", (bytes: Buffer) => (heard += bytes.toString()));
  socket.resume().end();
  await closed(socket);
  expect(heard).toBe("late");
});

test("what is not read waits, and what is not taken is told of when it has left", async () => {
  let there: Socket | undefined;
  serve = (socket) => void (there = socket.pause());
  const socket = await connected();
  await eventually(() => there !== undefined, "it came");
  let isWritten = false;
  expect(socket.write(Buffer.alloc(20_000_000, 7), () => (isWritten = true))).toBe(false);
  expect(socket.writableLength).toBeGreaterThan(0);
  socket.end();
  expect([isWritten, socket.writableFinished]).toEqual([false, false]);
  let length = 0;
  there!.on("data", (bytes: Buffer) => (length += bytes.length));
  await once(there!.resume(), "end");
  expect([length, isWritten, socket.writableLength]).toEqual([20_000_000, true, 0]);
  there!.end("x");
  let heard = 0;
  socket.on("data", (bytes: Buffer) => {
    heard += bytes.length;
    socket.pause();
  });
  socket.resume();
  await eventually(() => heard === 1, "it is read");
  expect(socket.readableEnded).toBe(false);
  socket.resume();
  await closed(socket);
});

describe("what fails is told as `error` and `close`, later:", () => {
  test("nobody listens", async () => {
    const socket = to(await freePort());
    const events = told(socket);
    expect(events).toEqual([]);
    await closed(socket);
    expect(events).toEqual(["ECONNREFUSED", "close"]);
  });

  test("an address that is not this host's", async () => {
    const from = { localAddress: "192.0.2.1", localPort: 0 };
    const socket = BareSocket.connect({ address: "127.0.0.1", port, family: 4, ...from });
    const events = told(socket);
    await closed(socket);
    expect(events).toEqual(["EADDRNOTAVAIL", "close"]);
  });

  test("a peer that resets", async () => {
    serve = resets;
    const socket = await connected();
    const events = told(socket);
    socket.resume().write("x");
    await closed(socket);
    expect(events).toEqual(["ECONNRESET", "close"]);
    expect(socket.readableEnded).toBe(false);
  });

  test("without anybody who hears errors, a close is all", async () => {
    serve = resets;
    const socket = await connected();
    socket.resume().write("x");
    await closed(socket);
    expect(socket.destroyed).toBe(true);
  });

  test("a port that is none throws", () => {
    expect(() => to(70_000)).toThrow(RangeError);
  });
});

test("a reset is one at the peer, and nothing is heard of it twice", async () => {
  const failed = new Promise<string | undefined>((done) => {
    serve = (socket) => void socket.resume().on("error", ({ code }: NodeJS.ErrnoException) => done(code));
  });
  const socket = await connected();
  const events = told(socket);
  socket.reset();
  socket.reset();
  socket.destroy();
  expect(await failed).toBe("ECONNRESET");
  expect(events).toEqual(["close"]);
});

test("what lends it buffers is asked where each read goes", async () => {
  const socket = await connected();
  const buffers = [Buffer.alloc(4), Buffer.alloc(4)];
  let reads = 0;
  let heard = "";
  socket.lend({
    buffer: () => buffers[reads % 2]!,
    took: (bytes) => {
      heard += buffers[reads++ % 2]!.toString("latin1", 0, bytes);
      setImmediate(() => socket.resume());
      return false;
    },
  });
  socket.resume().end("what is read comes in turns");
  await closed(socket);
  expect([heard, reads]).toEqual(["what is read comes in turns", 7]);
});

test("a reset behind an end is one as long as bytes wait", async () => {
  const peers: Socket[] = [];
  serve = (socket) => void peers.push(socket.pause());
  const socket = await connected();
  await eventually(() => peers.length === 1, "it is accepted");
  const [peer] = peers;
  const heard: string[] = [];
  peer!
    .on("end", () => heard.push("end"))
    .on("error", ({ code }: NodeJS.ErrnoException) => heard.push(code!));
  socket.write(Buffer.alloc(20_000_000));
  socket.end();
  expect(socket.writableLength).toBeGreaterThan(0);
  socket.reset();
  const gone = new Promise<void>((done) => void peer!.once("close", () => done()));
  peer!.resume();
  await gone;
  expect(heard).toEqual(["ECONNRESET"]);
});

test("an end comes behind all that was written before", async () => {
  let bytes = 0;
  const ended = new Promise<void>((done) => {
    serve = (socket) => void socket.on("data", (chunk) => (bytes += chunk.length)).once("end", () => done());
  });
  const socket = await connected();
  socket.write(Buffer.alloc(20_000_000));
  socket.end();
  await ended;
  expect(bytes).toBe(20_000_000);
  socket.destroy();
});
