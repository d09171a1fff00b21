import { once } from "node:events";
import { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSockets, type RelaySocket } from "../../../client/node/index.ts";
import { type StreamRelay, startStreamRelay } from "../../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../../support/tcp-target.ts";

/** How a socket says that it is closed: as a `net.Socket` does. */

let relay: StreamRelay;
let target: TcpTarget;
let serve: (socket: Socket) => void;
beforeAll(async () => {
  relay = await startStreamRelay();
  target = await startTcpTarget((socket) => serve(socket));
});
afterAll(async () => {
  await relay.close();
  await target.close();
});

describe.each([
  ["net", () => new Socket()],
  ["relay", () => createSockets(relay.url).socket()],
] as const)("a socket of %s", (_kind, make) => {
  /** Connects, and gathers what it tells of its end. */
  function connected(): { readonly socket: Socket | RelaySocket; readonly told: unknown[][] } {
    const socket: Socket | RelaySocket = make();
    const told: unknown[][] = [];
    socket.on("error", () => told.push(["error"]));
    socket.on("close", (...said: unknown[]) => told.push(["close", ...said]));
    socket.connect(target.port, "127.0.0.1");
    socket.resume();
    return { socket, told };
  }

  test("tells that it closed without an error", async () => {
    serve = (socket) => void socket.end();
    const { socket, told } = connected();
    await once(socket, "close");
    expect(told).toEqual([["close", false]]);
  });

  test("tells that it closed by an error", async () => {
    serve = (socket) => void setTimeout(() => socket.resetAndDestroy(), 50);
    const { socket, told } = connected();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(told).toEqual([["error"], ["close", true]]);
  });

  test("calls back a write that waits when it is destroyed", async () => {
    serve = (socket) => void socket.pause();
    const { socket, told } = connected();
    const outcome = new Promise<Error | null | undefined>((resolve) => {
      socket.write(Buffer.alloc(50_000_000), resolve);
    });
    await once(socket, "connect");
    await new Promise((resolve) => setTimeout(resolve, 300));
    socket.destroy();
    expect(await outcome).toBeInstanceOf(Error);
    await expect.poll(() => told).toEqual([["close", false]]);
  });

  test("calls back a write that waits for the connection when it is destroyed", async () => {
    const { socket } = connected();
    const outcome = new Promise<Error | null | undefined>((resolve) => {
      socket.write("early", resolve);
    });
    socket.destroy();
    expect(await outcome).toBeInstanceOf(Error);
  });
});
