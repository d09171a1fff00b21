import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { splice } from "../../../client/node/splice.ts";

/** Two ends of one TCP connection, both half-open capable. */
type Pair = readonly [near: Socket, far: Socket];

let server: Server;
const opened: Socket[] = [];

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
});
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await new Promise((done) => server.close(done));
});

async function pair(): Promise<Pair> {
  const { port } = server.address() as { port: number };
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const far = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  await once(far, "connect");
  const [near] = await accepted;
  opened.push(near, far);
  far.on("error", () => {});
  return [near, far];
}

/** A splice between two connections; the test holds their far ends. */
async function spliced(options?: Parameters<typeof splice>[2]) {
  const [[a, client], [b, target]] = [await pair(), await pair()];
  return { a, b, client, target, done: splice(a, b, options) };
}

async function readAll(socket: Socket): Promise<Buffer> {
  // An iterator would destroy the socket at its end.
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks);
}

function errorOf(socket: Socket): Promise<NodeJS.ErrnoException> {
  return new Promise((done) => socket.once("error", done));
}

describe("a splice", () => {
  test("carries bytes both ways with half-close, and counts them", async () => {
    const { client, target, done } = await spliced();
    const question = randomBytes(3_000_000);
    client.end(question);
    const got = await readAll(target);
    expect(got.equals(question)).toBe(true);
    target.end("answer after the end");
    expect((await readAll(client)).toString()).toBe("answer after the end");
    expect(await done).toEqual({ up: 3_000_000, down: 20 });
  });

  test("passes on an end that came before it", async () => {
    const [[a, client], [b, target]] = [await pair(), await pair()];
    client.end();
    a.resume();
    await once(a, "end");
    b.write("early");
    const done = splice(a, b);
    expect((await readAll(target)).toString()).toBe("early");
    target.end("answer");
    expect((await readAll(client)).toString()).toBe("answer");
    await done;
  });

  test("passes an end on from the target's side, too", async () => {
    const { client, target, done } = await spliced();
    target.end("bye");
    expect((await readAll(client)).toString()).toBe("bye");
    client.end("more");
    expect((await readAll(target)).toString()).toBe("more");
    expect(await done).toEqual({ up: 4, down: 3 });
  });

  test.each(["client", "target"] as const)("passes a reset by the %s on as a reset", async (who) => {
    const { client, target, done } = await spliced();
    const [one, other] = who === "client" ? [client, target] : [target, client];
    one.write("begun");
    await once(other, "data");
    const failure = errorOf(other);
    one.resetAndDestroy();
    expect((await failure).code).toBe("ECONNRESET");
    await done;
  });

  test("resets the one where the other is destroyed without a word", async () => {
    const { b, client, done } = await spliced();
    client.resume();
    const failure = errorOf(client);
    b.destroy();
    expect((await failure).code).toBe("ECONNRESET");
    await done;
  });

  test("slows the writer where the reader stops", async () => {
    const { client, target, a, b, done } = await spliced();
    const total = 64 * 1_048_576;
    const chunk = randomBytes(1_048_576);
    const [sent, got] = [createHash("sha256"), createHash("sha256")];
    let written = 0;
    const writing = (async () => {
      for (; written < total; written += chunk.length) {
        sent.update(chunk);
        if (!client.write(chunk)) await once(client, "drain");
      }
      client.end();
    })();
    // It goes on until nothing has moved for a while.
    let seen = -1;
    for (; written !== seen; await new Promise((next) => setTimeout(next, 500))) seen = written;
    expect(written).toBeLessThan(total);
    expect(a.readableLength + b.writableLength).toBeLessThan(1_048_576);
    target.on("data", (part: Buffer) => got.update(part));
    await Promise.all([writing, once(target, "end")]);
    target.end();
    await done;
    expect(got.digest("hex")).toBe(sent.digest("hex"));
  });

  test("gives a half-closed connection up that stands still", async () => {
    const { client, target, done } = await spliced({ halfClosedIdleMs: 200 });
    target.resume();
    client.resume();
    const failure = errorOf(client);
    client.end();
    expect((await failure).code).toBe("ECONNRESET");
    await done;
  });

  test("does not wait for ever for a reader that takes nothing after the other side has closed", async () => {
    const [a, client] = await pair();
    const stuck = new Duplex({ read() {}, write() {} });
    const done = splice(a, stuck, { lingerMs: 200 });
    client.end("never taken");
    client.resume();
    stuck.push(null);
    await done;
    expect([a.closed, stuck.closed]).toEqual([true, true]);
  });

  test("ends at once where a side was gone before", async () => {
    const [[a], [b, target]] = [await pair(), await pair()];
    a.destroy();
    await once(a, "close");
    const failure = errorOf(target);
    target.resume();
    expect(await splice(a, b)).toEqual({ up: 0, down: 0 });
    expect((await failure).code).toBe("ECONNRESET");
  });
});
