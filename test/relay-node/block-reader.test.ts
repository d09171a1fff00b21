import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { BlockReader } from "../../relay-node/block-reader.ts";
import { STREAM_SMALL_READS, STREAM_TURN_BYTES } from "../../relay-node/limits.ts";
import { tryBorrowing } from "../../relay-node/splice/borrowed-reads.ts";
import { FRAME_ROOM_BYTES } from "../../relay-node/websocket/limits.ts";
import { eventually } from "../support/node-log.ts";

/** A target that is read into blocks: what came of it is whole and in order, whatever stands in whose block. */

const sockets: Socket[] = [];
beforeAll(() => tryBorrowing());
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** Both ends of a connection. */
async function pair(isPaused = true): Promise<readonly [Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: isPaused });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const { port } = server.address() as AddressInfo;
  const outer = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const [inner] = (await accepted) as [Socket];
  server.close();
  sockets.push(outer, inner);
  for (const socket of [outer, inner]) socket.on("error", () => {});
  return [outer, inner];
}

/** What a reader told, and what it is told. */
class Owner {
  window = Infinity;
  readonly got: Buffer[] = [];
  /** Blocks that are the owner's, with what stood in them. */
  readonly blocks: { readonly block: Uint8Array; readonly bytes: Buffer; readonly begin: number }[] = [];
  out = 0;
  taken = 0;
  ended = 0;
  readonly room = () => Math.min(this.window, STREAM_TURN_BYTES);
  readonly end = () => void this.ended++;
  readonly data = (chunk: Buffer) => {
    this.window -= chunk.length;
    this.got.push(Buffer.from(chunk));
    chunk.fill(255);
  };
  readonly block = (block: Uint8Array, begin: number, end: number) => {
    const bytes = Buffer.from(block.subarray(begin, end));
    this.window -= bytes.length;
    this.got.push(bytes);
    this.blocks.push({ block, begin, bytes });
  };
  readonly take = (bytes: number) => {
    this.out++;
    this.taken++;
    return new Uint8Array(bytes);
  };
  readonly give = () => void this.out--;
  get bytes(): Buffer {
    return Buffer.concat(this.got);
  }
}

function readerOf(socket: Socket, owner: Owner): BlockReader {
  const reader = BlockReader.on(socket, owner, owner);
  expect(reader).toBeDefined();
  return reader!;
}

const counting = (length: number) =>
  Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 8)) % 251));

describe("a target that is read into blocks", () => {
  test("is read whole and in order, and large reads stand in blocks of their own", async () => {
    const [outer, inner] = await pair();
    const owner = new Owner();
    readerOf(inner, owner).goOn();
    const sent = counting(8_000_000);
    outer.end(sent);
    await eventually(() => owner.ended === 1, "it has ended");
    expect(owner.bytes.equals(sent)).toBe(true);
    expect(owner.blocks.length).toBeGreaterThan(5);
    for (const { block, begin, bytes } of owner.blocks) {
      expect(begin).toBe(FRAME_ROOM_BYTES);
      // Nobody has read into it again.
      expect(Buffer.from(block.subarray(begin, begin + bytes.length)).equals(bytes)).toBe(true);
    }
    // What was taken is the owner's, but for the last one, which came back.
    expect(owner.out).toBe(owner.blocks.length);
  });

  test("takes no block where it says little", async () => {
    const [outer, inner] = await pair();
    const owner = new Owner();
    readerOf(inner, owner).goOn();
    for (let count = 0; count < 20; count++) {
      outer.write(`line ${count}\n`);
      await eventually(() => owner.bytes.toString().endsWith(`line ${count}\n`), "it is read");
    }
    expect(owner.taken).toBe(0);
  });

  test("gives its block back after small reads, and when it rests", async () => {
    const [outer, inner] = await pair();
    const owner = new Owner();
    const reader = readerOf(inner, owner);
    reader.goOn();
    const large = async () => {
      const before = owner.blocks.length;
      outer.write(counting(4_000_000));
      await eventually(() => owner.blocks.length > before, "it has a block");
      const wanted = owner.got.reduce((sum, { length }) => sum + length, 0);
      await eventually(() => owner.got.reduce((sum, { length }) => sum + length, 0) >= wanted, "all is read");
      await pause(200);
    };
    const held = () => owner.out - owner.blocks.length;
    await large();
    if (held() === 1) {
      for (let count = 0; count < STREAM_SMALL_READS; count++) {
        const before = owner.got.length;
        outer.write("x");
        await eventually(() => owner.got.length > before, "it is read");
      }
    }
    expect(held()).toBe(0);
    await large();
    reader.tick();
    reader.tick();
    expect(held()).toBe(0);
    outer.write("after that");
    await eventually(() => owner.bytes.toString("latin1").endsWith("after that"), "it is read as ever");
  });

  test("is read as far as there is room, to the byte, and on when there is more", async () => {
    const [outer, inner] = await pair();
    const owner = new Owner();
    owner.window = 300_001;
    const reader = readerOf(inner, owner);
    reader.goOn();
    const sent = counting(1_000_000);
    outer.end(sent);
    await eventually(() => owner.window === 0, "the window is used");
    await pause(100);
    expect(owner.bytes.length).toBe(300_001);
    for (let more = 0; more < 20 && owner.ended === 0; more++) {
      owner.window += 131_072;
      reader.goOn();
      await pause(20);
    }
    await eventually(() => owner.ended === 1, "it has ended");
    expect(owner.bytes.equals(sent)).toBe(true);
  });

  test("hands on first what was read before", async () => {
    const [outer, inner] = await pair(false);
    inner.pause();
    outer.write("what it said ");
    await pause(100);
    inner.read(0);
    await pause(100);
    const owner = new Owner();
    readerOf(inner, owner).goOn();
    outer.end("and says");
    await eventually(() => owner.ended === 1, "it has ended");
    expect(owner.bytes.toString()).toBe("what it said and says");
  });

  test("that is reset gives its block back", async () => {
    const [outer, inner] = await pair();
    const owner = new Owner();
    readerOf(inner, owner).goOn();
    outer.write(counting(3_000_000));
    await eventually(() => owner.blocks.length > 3, "it has blocks");
    outer.resetAndDestroy();
    await eventually(() => inner.closed, "it is closed");
    expect(owner.out).toBe(owner.blocks.length);
    expect(owner.ended).toBe(0);
  });
});
