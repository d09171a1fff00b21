import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { Digest, pattern } from "./pattern.ts";
import type { Order } from "./peer-messages.ts";

/**
 * A program like any other, which knows nothing of the relay: it connects to the peer by name. Arguments: `host:port`, what to
 * do, and more. It tells what became of it in lines of JSON, and goes on where it waits when a line comes in.
 */

const [authority, what, ...more] = process.argv.slice(2) as [string, string, ...string[]];
const [host, port] = authority.split(":") as [string, string];
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const DOINGS: Readonly<Record<string, (...args: string[]) => Promise<void>>> = {
  /** Sends bytes and a FIN; then takes the peer's word of them. */
  async give(name, bytes) {
    const socket = await order({ what: "take", name });
    const sent = new Digest();
    for (const block of pattern(Number(bytes))) {
      sent.add(block);
      await write(socket, block);
    }
    socket.end();
    const word = await whole(socket);
    tell({ sent: sent.bytes, hash: sent.hex, word: word.toString().trim() });
  },

  /** Takes bytes up to the peer's FIN; then sends some more, which the peer has ordered nobody to stop. */
  async take(name, bytes, after) {
    const socket = await order({ what: "send", name, bytes: Number(bytes) });
    const received = await hashed(socket);
    const sent = new Digest();
    for (const block of pattern(Number(after ?? 0))) {
      sent.add(block);
      await write(socket, block);
    }
    socket.end();
    await once(socket, "close");
    tell({ received: received.bytes, hash: received.hex, after: sent.hex });
  },

  /** Takes the first bytes, then none until it is told to. */
  async pause(name, bytes) {
    const socket = await order({ what: "send", name, bytes: Number(bytes) });
    const received = new Digest();
    const [first] = (await once(socket, "data")) as [Buffer];
    socket.pause();
    received.add(first);
    tell({ paused: first.length });
    await lines.next();
    tell({ received: (await hashed(socket, received)).bytes, hash: received.hex });
    socket.end();
  },

  /** Sends for as long as anything takes it. */
  async pour(name, bytes) {
    const socket = await order({ what: "stall", name });
    const sent = new Digest();
    for (const block of pattern(Number(bytes))) {
      sent.add(block);
      const timer = setInterval(() => tell({ written: socket.bytesWritten - socket.writableLength }), 500);
      await write(socket, block);
      clearInterval(timer);
    }
    socket.end();
    tell({ sent: sent.bytes, hash: sent.hex, word: (await whole(socket)).toString().trim() });
  },

  /** Opens many and keeps them until it is told to go. */
  async hold(count, atOnce) {
    const sockets: Socket[] = [];
    while (sockets.length < Number(count)) {
      const size = Math.min(Number(atOnce), Number(count) - sockets.length);
      sockets.push(
        ...(await Promise.all(Array.from({ length: size }, (_, index) => held(sockets.length + index)))),
      );
    }
    tell({ held: sockets.length });
    await lines.next();
    await Promise.all(sockets.map(release));
    tell({ released: sockets.length });
  },

  /** Opens many at once and closes them at once, again and again. */
  async rounds(count, rounds) {
    for (let round = 0; round < Number(rounds); round++) {
      const numbers = Array.from({ length: Number(count) }, (_, index) => round * Number(count) + index);
      const sockets = await Promise.all(numbers.map(held));
      // Every other one is not ended but broken off.
      await Promise.all(
        sockets.map((socket, index) => (index % 2 === 0 ? release(socket) : breakOff(socket))),
      );
      tell({ round });
    }
  },
};

/** Resolves when the system has taken the bytes. */
async function write(socket: Socket, block: Buffer): Promise<void> {
  await new Promise<void>((taken) => socket.write(block, () => taken()));
}

async function held(number: number): Promise<Socket> {
  const socket = await order({ what: "hold", name: `${what}-${number}` });
  await once(socket, "data");
  return socket;
}

async function release(socket: Socket): Promise<void> {
  const closed = once(socket, "close");
  socket.end();
  await closed;
}

async function breakOff(socket: Socket): Promise<void> {
  const closed = once(socket, "close");
  socket.resetAndDestroy();
  await closed;
}

async function order(first: Order): Promise<Socket> {
  const socket = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  socket.write(`${JSON.stringify(first)}\n`);
  return socket;
}

async function hashed(socket: Socket, digest = new Digest()): Promise<Digest> {
  socket.on("data", (chunk: Buffer) => digest.add(chunk));
  socket.resume();
  await once(socket, "end");
  return digest;
}

async function whole(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks);
}

function tell(fact: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(fact)}\n`);
}

await DOINGS[what]!(...more);
// Nothing more is read.
process.stdin.destroy();
