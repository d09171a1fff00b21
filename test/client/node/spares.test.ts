import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import net, { type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSockets, type RelaySocket, type Sockets } from "../../../client/node/index.ts";
import { keepAsWanted } from "../../../client/node/keep-alive.ts";
import { RelayError } from "../../../protocol/errors.ts";
import { allOf } from "../../support/all-of.ts";
import { eventually } from "../../support/node-log.ts";
import { freePort } from "../../support/stack.ts";
import { type StreamRelay, startStreamRelay } from "../../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../../support/tcp-target.ts";

/** Streams by a path that was opened ahead of them, and what becomes of them where that path comes to nothing. */

let relay: StreamRelay;
let target: TcpTarget;
let sockets: Sockets;
let now = 0;
/** What each connection to the target has received, in order. */
let received: string[];
beforeEach(async () => {
  relay = await startStreamRelay();
  relay.parks = true;
  received = [];
  target = await startTcpTarget(echo);
  // Tokens of another clock are good for as long as they live.
  now = Date.now() - 57_000;
  sockets = createSockets(relay.url, { now: () => now });
});
afterEach(async () => {
  for (const socket of made.splice(0)) socket.destroy();
  await relay.close();
  await target.close();
});

function echo(socket: Socket): void {
  const index = received.push("") - 1;
  socket.on("data", (chunk: Buffer) => (received[index] += chunk.toString("latin1")));
  socket.pipe(socket);
}

const parked = (count: number) =>
  eventually(() => relay.parked() === count, `${count} paths are parked`, 5_000);
/** How many of a kind keep this process. */
const active = (kind: string) => process.getActiveResourcesInfo().filter((one) => one === kind).length;
const made: RelaySocket[] = [];
function connect(port = target.port): RelaySocket {
  const socket = sockets.connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  made.push(socket);
  return socket;
}

/** Expects the target, and waits until a path is there. */
async function expecting(port = target.port): Promise<() => void> {
  const end = sockets.expect({ host: "127.0.0.1", port });
  await parked(1);
  // That it is there comes to the client a moment after it is.
  await pause(200);
  return end;
}

/** What a socket ends with. */
async function failure(socket: RelaySocket): Promise<RelayError> {
  return ((await once(socket, "error")) as [RelayError])[0];
}

describe("a target that is expected", () => {
  test("is connected to by the path that waits, and the next one waits after it", async () => {
    await expecting();
    expect(target.sockets).toHaveLength(0);
    const socket = connect();
    expect([socket.isEarly, socket.connecting]).toEqual([true, true]);
    await once(socket, "connect");
    expect(socket).toMatchObject({ node: "node-a", egress: "203.0.113.7", connecting: false });
    await parked(1);
    expect(relay.seen.map(({ park }) => park)).toEqual([true, true]);
  });

  test("gets what was written before the connection stood once and in order", async () => {
    await expecting();
    const sent = randomBytes(3_000_000);
    const socket = connect();
    const got = allOf(socket);
    for (let at = 0; at < sent.length; at += 70_000) socket.write(sent.subarray(at, at + 70_000));
    socket.end();
    const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
    expect(hash(await got)).toBe(hash(sent));
    expect(target.sockets).toHaveLength(1);
  });

  test("is resumed to where the path breaks once it is open", async () => {
    await expecting();
    const socket = connect();
    socket.write("one");
    await once(socket, "data");
    relay.cut();
    socket.write("two");
    expect(String(((await once(socket, "data")) as [Buffer])[0])).toBe("two");
    expect(received).toEqual(["onetwo"]);
  });

  test("is asked for as ever by what is not expected, and where no path is left", async () => {
    const end = await expecting();
    const other = await startTcpTarget(echo);
    const unexpected = connect(other.port);
    expect(unexpected.isEarly).toBe(false);
    const [first, second] = [connect(), connect()];
    expect([first.isEarly, second.isEarly]).toEqual([true, false]);
    await Promise.all([first, second, unexpected].map((socket) => once(socket, "connect")));
    await parked(1);
    end();
    await parked(0);
    expect(connect().isEarly).toBe(false);
    await other.close();
  });

  test("has a path no longer than it is used", async () => {
    relay.parkedSeconds = 4;
    await expecting();
    const before = relay.attempts();
    await eventually(() => relay.attempts() > before, "it is renewed", 5_000);
    await parked(1);
    now += 61_000;
    await parked(0);
    await pause(1_500);
    expect(relay.parked()).toBe(0);
    const socket = connect();
    expect(socket.isEarly).toBe(false);
    await once(socket, "connect");
    await parked(1);
  });

  test("is not connected to by a path whose time was slept through", async () => {
    await expecting();
    now += 24_000;
    const socket = connect();
    expect(socket.isEarly).toBe(false);
    await once(socket, "connect");
  });
});

describe("where the dial comes to nothing", () => {
  test("the error is the same, and bytes that went ahead have reached nobody", async () => {
    const port = await freePort();
    await expecting(port);
    const socket = connect(port);
    expect(socket.isEarly).toBe(true);
    socket.write("early");
    expect(await failure(socket)).toMatchObject({
      name: "RelayError",
      code: "connect_refused",
      reached: "no",
    });
  });

  test.each([
    "node_draining",
    "grant_expired",
    "rate_limited",
    "concurrency_limited",
    "stream_idle",
  ] as const)(
    "for the node's own reason %s it is opened as ever, and bytes that went ahead go by that",
    async (code) => {
      await expecting();
      relay.dials = new RelayError(code, "not now");
      const socket = connect();
      expect(socket.isEarly).toBe(true);
      socket.write("early ");
      socket.end("bytes");
      expect(String(await allOf(socket))).toBe("early bytes");
      expect(received).toEqual(["early bytes"]);
    },
  );

  test("and nobody knows why, it is opened as ever where nothing went ahead, and fails where bytes did", async () => {
    await expecting();
    relay.dials = "destroy";
    const idle = connect();
    await once(idle, "connect");

    await parked(1);
    const eager = connect();
    expect(eager.isEarly).toBe(true);
    eager.write("early");
    expect(await failure(eager)).toMatchObject({ code: "edge_unreachable", reached: "unknown" });
    await pause(300);
    expect(received.filter((text) => text !== "")).toEqual([]);
  });

  test("and the path is silent, that shows soon", async () => {
    await expecting();
    relay.dials = "silent";
    const socket = connect();
    const began = performance.now();
    await once(socket, "connect");
    expect(performance.now() - began).toBeLessThan(6_000);
    // The node may have heard the word, and dial still.
    await eventually(() => relay.cancels() === 1, "the dial is given up");
  });

  test("the app may leave before it: what was written goes nowhere, as by a system's socket", async () => {
    await expecting();
    const socket = connect();
    expect(socket.isEarly).toBe(true);
    const written = new Promise((resolve) => socket.write("pay", resolve));
    socket.destroy();
    await once(socket, "close");
    expect(await written).toBeInstanceOf(Error);
    await socket.settled;
    await pause(300);
    expect(received.join("")).toBe("");
    await eventually(() => relay.streams() === 0, "no stream is left");
  });

  test("the app may leave soon: all has arrived by the time that sockets are settled", async () => {
    await expecting();
    const socket = connect();
    expect(socket.isEarly).toBe(true);
    let error: unknown = "not called";
    socket.write("a last line", (cause) => (error = cause));
    socket.destroySoon();
    await once(socket, "close");
    await sockets.settled();
    expect(received).toEqual(["a last line"]);
    expect(error ?? undefined).toBeUndefined();
  });

  test("the app may leave while nothing is said", async () => {
    await expecting();
    relay.dials = "silent";
    const socket = connect();
    socket.destroy();
    await once(socket, "close");
    await socket.settled;
  });
});

test("a path that was lost is replaced by and by, and not missed meanwhile", async () => {
  await expecting();
  relay.cut();
  await parked(0);
  const socket = connect();
  expect(socket.isEarly).toBe(false);
  socket.end("x");
  expect(String(await allOf(socket))).toBe("x");
});

test("a path that has gone dead is replaced, and not used before", async () => {
  await expecting();
  const before = relay.attempts();
  relay.freeze();
  now += 5_000;
  const socket = connect();
  expect(socket.isEarly).toBe(false);
  socket.end("x");
  expect(String(await allOf(socket))).toBe("x");
  await parked(1);
  relay.freeze();
  await eventually(() => relay.attempts() > before + 2, "another one is opened", 8_000);
}, 15_000);

test("a path that waits answers, and stays", async () => {
  await expecting();
  const before = relay.attempts();
  await pause(7_000);
  expect([relay.attempts(), relay.parked()]).toEqual([before, 1]);
}, 15_000);

test("a path that is let go of keeps no process", async () => {
  const end = await expecting();
  const before = active("Timeout");
  end();
  expect(active("Timeout")).toBe(before);
  await parked(0);
});

test("a socket keeps no process by the second address that it tries either", async () => {
  const addresses = ["::1", "127.0.0.1"].map((address) => ({ address, family: net.isIP(address) }));
  const before = active("TCPSocketWrap");
  const plain = net.connect({
    host: "two.test",
    port: target.port,
    autoSelectFamily: true,
    lookup: (_host, _options, done) => done(null, addresses),
  });
  keepAsWanted(plain, () => false);
  await Promise.all([once(plain, "connect"), eventually(() => target.sockets.length === 1, "it came")]);
  target.sockets[0]!.unref();
  expect(plain.remoteAddress).toBe("127.0.0.1");
  expect(active("TCPSocketWrap")).toBe(before);
  plain.destroy();
});

test("who ends its expectation twice ends nobody else's", async () => {
  const end = await expecting();
  end();
  await parked(0);
  const another = await expecting();
  end();
  await pause(100);
  expect(connect().isEarly).toBe(true);
  another();
});

test("an edge or node that knows no such paths is asked for one once", async () => {
  relay.parks = false;
  sockets.expect({ host: "127.0.0.1", port: target.port });
  await eventually(() => relay.attempts() === 1, "it was asked");
  await pause(200);
  const socket = connect();
  await once(socket, "connect");
  await pause(200);
  expect(relay.attempts()).toBe(2);
  await eventually(() => target.sockets[0]!.destroyed, "the connection that was dialled ahead is reset");
});
