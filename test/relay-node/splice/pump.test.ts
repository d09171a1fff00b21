import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Duplex, PassThrough } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { borrow, tryBorrowing } from "../../../relay-node/splice/borrowed-reads.ts";
import { BufferPool } from "../../../relay-node/splice/buffer-pool.ts";
import { LendingPump } from "../../../relay-node/splice/lending-pump.ts";
import { SPLICE_SHARED_BYTES } from "../../../relay-node/splice/limits.ts";
import type { Pump, PumpEvents } from "../../../relay-node/splice/pump.ts";
import { StreamPump } from "../../../relay-node/splice/stream-pump.ts";

/** One direction between two connections of the system's, by lent buffers and by streams. */

const sockets: Socket[] = [];
beforeAll(() => tryBorrowing());
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** Both ends of a connection; what is carried is the second one, paused. */
async function pair(): Promise<readonly [Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const outer = connect({
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    allowHalfOpen: true,
  });
  const [inner] = (await accepted) as [Socket];
  server.close();
  sockets.push(outer, inner);
  for (const socket of [outer, inner]) socket.on("error", () => {});
  return [outer, inner];
}

/** The same over TLS, by a key that both ends have. */
async function securePair(): Promise<readonly [Socket, Socket]> {
  const rules = { ciphers: "PSK-AES128-GCM-SHA256", minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
  const psk = Buffer.alloc(16, 7);
  const server = createTlsServer({ ...rules, allowHalfOpen: true, pskCallback: () => psk });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "secureConnection");
  const outer = connectTls({
    ...rules,
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    pskCallback: () => ({ psk, identity: "user" }),
    checkServerIdentity: () => undefined,
  });
  const [inner] = (await accepted) as [Socket];
  server.close();
  inner.pause();
  sockets.push(outer, inner);
  for (const socket of [outer, inner]) socket.on("error", () => {});
  return [outer, inner];
}

const BUFFER_BYTES = 262_144;
const pool = new BufferPool({ bytes: BUFFER_BYTES, max: 4, spare: 1 });

/** What a pump told, and what it is told. */
class Owner implements PumpEvents {
  rests = false;
  isPaced = false;
  bytes = 0;
  ends = 0;
  mustRest() {
    return this.rests;
  }
  moved(bytes: number) {
    this.bytes += bytes;
  }
  ended() {
    this.ends++;
  }
}

type Make = (source: Duplex, sink: Duplex, head: Buffer, events: PumpEvents) => Pump;

const lending: Make = (source, sink, head, events) => {
  const made = new LendingPump(source, sink, events, pool);
  expect(borrow(source, made)).toBe(true);
  made.start(head);
  return made;
};
const streaming: Make = (...parts) => new StreamPump(...parts);

/** How bytes are carried, and of what connection they come. */
interface Way {
  readonly name: string;
  readonly make: Make;
  readonly sourcePair: typeof pair;
}

const LENT: Way = { name: "lent buffers", make: lending, sourcePair: pair };
const LENT_TLS: Way = { name: "lent buffers, of TLS", make: lending, sourcePair: securePair };
const STREAMS: Way = { name: "streams", make: streaming, sourcePair: pair };
const STREAMS_TLS: Way = { name: "streams, of TLS", make: streaming, sourcePair: securePair };

interface Carried {
  readonly from: Socket;
  readonly to: Socket;
  readonly pump: Pump;
  readonly owner: Owner;
}

async function carry(
  { make, sourcePair }: Way,
  head = Buffer.alloc(0),
  owner = new Owner(),
): Promise<Carried> {
  const [from, source] = await sourcePair();
  const [to, sink] = await pair();
  return { from, to, pump: make(source, sink, head, owner), owner };
}

/** Bytes of which no part is like another. */
function varied(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** All until the end; with `restMs` between two reads, and little at a time. */
async function readAll(socket: Socket, restMs?: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (restMs === undefined) return;
    socket.pause();
    setTimeout(() => socket.resume(), restMs);
  });
  await once(socket, "end");
  return Buffer.concat(chunks);
}

test("this Node lends buffers", async () => {
  expect(await tryBorrowing()).toBe(true);
});

test("what is no socket, or borrows already, is lent none", async () => {
  const lender = new LendingPump(new PassThrough(), new PassThrough(), new Owner(), pool);
  expect(borrow(new PassThrough(), lender)).toBe(false);
  const [, source] = await pair();
  expect(borrow(source, lender)).toBe(true);
  expect(borrow(source, lender)).toBe(false);
});

describe.each([LENT, LENT_TLS, STREAMS, STREAMS_TLS])("by $name,", (way) => {
  const { make, sourcePair } = way;

  test("many bytes arrive as they were sent, and are counted, and their end", async () => {
    const { from, to, owner } = await carry(way);
    const sent = varied(20_000_000);
    const reading = readAll(to);
    from.end(sent);
    const read = await reading;
    expect(read.length).toBe(sent.length);
    expect(hash(read)).toBe(hash(sent));
    expect(owner).toMatchObject({ bytes: sent.length, ends: 1 });
    expect(pool.out).toBeLessThanOrEqual(1);
  });

  test("a reader that rests slows the sender, and gets every byte as it was", async () => {
    const { from, to } = await carry(way);
    // More than all the system's buffers on the way hold.
    const sent = varied(60_000_000);
    from.end(sent);
    await pause(300);
    expect(from.writableLength).toBeGreaterThan(0);
    expect(hash(await readAll(to))).toBe(hash(sent));
  });

  test("a slow reader gets every byte as it was", async () => {
    const { from, to } = await carry(way);
    const sent = varied(6_000_000);
    const reading = readAll(to, 1);
    from.end(sent);
    expect(hash(await reading)).toBe(hash(sent));
  });

  test("small ones arrive one by one, and what came before comes first", async () => {
    const { from, to } = await carry(way, Buffer.from("head "));
    let read = "";
    to.on("data", (chunk: Buffer) => (read += chunk.toString()));
    for (const word of ["one ", "two ", "three"]) {
      from.write(word);
      await pause(20);
    }
    expect(read).toBe("head one two three");
  });

  test("what the stream had read before comes before the rest", async () => {
    const [from, source] = await sourcePair();
    const [to, sink] = await pair();
    from.write("before ");
    source.once("data", (chunk: Buffer) => source.pause().unshift(chunk));
    source.resume();
    await once(source, "pause");
    make(source, sink, Buffer.from("head "), new Owner());
    const reading = readAll(to);
    from.end("after");
    expect((await reading).toString()).toBe("head before after");
  });

  test("all that the stream had read comes before the rest, in however many pieces", async () => {
    const [from, source] = await sourcePair();
    const [to, sink] = await pair();
    for (const piece of ["before", "long ", "from "]) source.unshift(Buffer.from(piece));
    make(source, sink, Buffer.from("head "), new Owner());
    const reading = readAll(to);
    from.end(", after");
    expect((await reading).toString()).toBe("head from long before, after");
  });

  test("an end that came before is passed on", async () => {
    const [from, source] = await sourcePair();
    const [to, sink] = await pair();
    from.end();
    source.resume();
    await once(source, "end");
    make(source, sink, Buffer.from("last"), new Owner());
    expect((await readAll(to)).toString()).toBe("last");
  });

  test("nothing moves while it must rest, and all of it goes on then", async () => {
    const owner = new Owner();
    owner.rests = true;
    const { from, to, pump } = await carry(way, Buffer.from("head"), owner);
    const sent = varied(1_000_000);
    from.end(sent);
    const reading = readAll(to);
    await pause(50);
    expect(owner.bytes).toBe(0);
    owner.rests = false;
    pump.goOn();
    expect(hash(await reading)).toBe(hash(Buffer.concat([Buffer.from("head"), sent])));
  });

  test("what waits is forgotten where it is over", async () => {
    const owner = new Owner();
    owner.rests = true;
    const { to, pump } = await carry(way, Buffer.from("head"), owner);
    let read = 0;
    to.on("data", (chunk: Buffer) => (read += chunk.length));
    pump.drop();
    owner.rests = false;
    pump.goOn();
    await pause(30);
    expect(read).toBe(0);
  });
});

test("early bytes that can't leave at once hold back what follows, and lose nothing", async () => {
  const [user, client] = await pair();
  const [target, origin] = await pair();
  const fill = varied(8_000_000);
  target.write(fill);
  const owner = new Owner();
  // As a connection comes from HTTP's server: it has been read, and is paused then.
  client.resume();
  await pause(20);
  client.pause();
  lending(client, target, Buffer.from("early "), owner);
  await pause(20);
  user.write("and the next words");
  await pause(50);
  expect(client.destroyed).toBe(false);
  user.end();
  const reading = readAll(origin);
  origin.resume();
  const read = await reading;
  expect(read.subarray(fill.length).toString()).toBe("early and the next words");
});

describe.each([LENT, LENT_TLS])("large buffers: $name", (way) => {
  /** Whether a read fills the shared buffer is chance: it goes on until one was lent, where one is to be. */
  const flood = async (owner = new Owner(), isLent = () => true) => {
    const carried = await carry(way, undefined, owner);
    let [sent, read] = [0, 0];
    carried.to.on("data", (chunk: Buffer) => (read += chunk.length));
    do {
      carried.from.write(varied(4_000_000));
      sent += 4_000_000;
      const all = { read: sent, told: sent };
      await expect.poll(() => ({ read, told: owner.bytes }), { interval: 5, timeout: 20_000 }).toEqual(all);
    } while (!isLent());
    return carried;
  };

  test("one that carries much has one, until it rests", async () => {
    const { pump, from, to } = await flood(new Owner(), () => pool.out === 1);
    pump.tick();
    expect(pool.out).toBe(1);
    pump.tick();
    expect(pool.out).toBe(0);
    // It reads on, into the one that all share.
    const next = once(to, "data");
    from.write("more");
    expect(String(await next)).toBe("more");
    pump.drop();
  });

  test("it goes back when its connection is over", async () => {
    const { pump } = await flood();
    pump.drop();
    pump.drop();
    expect(pool.out).toBe(0);
  });

  test("one whose client has a share of bytes has none", async () => {
    const owner = new Owner();
    owner.isPaced = true;
    await flood(owner);
    expect(pool.out).toBe(0);
  });

  test("beyond a number, connections share", async () => {
    const all: Carried[] = [];
    for (let wanted = 1; wanted <= 6; wanted++) {
      all.push(await flood(new Owner(), () => pool.out === Math.min(wanted, 4)));
    }
    expect(pool.out).toBe(4);
    for (const { pump } of all) pump.drop();
    expect(pool.out).toBe(0);
  });

  test("many at once, each with its own bytes, never get another one's", async () => {
    const all = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const { from, to, pump } = await carry(way);
        const sent = varied(3_000_000 + index * 4).subarray(index * 4);
        const reading = readAll(to, index % 2 === 0 ? 1 : undefined);
        for (let at = 0; at < sent.length; at += SPLICE_SHARED_BYTES * 5) {
          from.write(sent.subarray(at, at + SPLICE_SHARED_BYTES * 5));
          await pause(1);
        }
        from.end();
        const isSame = hash(await reading) === hash(sent);
        pump.drop();
        return isSame;
      }),
    );
    expect(all).toEqual(Array(8).fill(true));
    expect(pool.out).toBe(0);
  });
});
