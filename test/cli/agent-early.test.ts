import { once } from "node:events";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { destination } from "../../cli/agent/destinations.ts";
import { type Listeners, startListeners } from "../../cli/agent/listeners.ts";
import { patientOpener } from "../../cli/agent/patient-opener.ts";
import { watchRefusals } from "../../cli/agent/refusal-watch.ts";
import { createSockets } from "../../client/node/index.ts";
import { openerOf } from "../../client/node/opener.ts";
import { RelayError } from "../../protocol/errors.ts";
import { allOf } from "../support/all-of.ts";
import { eventually } from "../support/node-log.ts";
import { freePort } from "../support/stack.ts";
import { type StreamRelay, startStreamRelay } from "../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** An agent's connections by a path that was opened ahead of them: a program is told what it is told without one. */

let relay: StreamRelay;
let target: TcpTarget;
let listeners: Listeners;
let refused: RelayError | undefined;
let received: string;
let end: () => void;
beforeEach(async () => {
  relay = await startStreamRelay();
  relay.parks = true;
  received = "";
  refused = undefined;
  target = await startTcpTarget((socket) => {
    socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
    socket.pipe(socket);
  });
  const sockets = createSockets(relay.url);
  const watched = watchRefusals(openerOf(sockets), (error) => (refused = error), { confirmMs: 50 });
  const open = patientOpener(watched, { patienceMs: 5_000 });
  const { port } = target;
  listeners = await startListeners(
    [destination("127.0.0.1", port, { listen: { address: "127.0.0.1", port: await freePort() } })],
    open,
    { log: () => {} },
  );
  end = sockets.expect({ host: "127.0.0.1", port });
  await eventually(() => relay.parked() === 1, "a path is parked");
});
afterEach(async () => {
  end();
  await listeners.close();
  await relay.close();
  await target.close();
});

const state = () => listeners.state()[0]!;
function program(): net.Socket {
  const { address, port } = listeners.routes[0]!;
  return net.connect({ host: address, port, allowHalfOpen: true });
}

async function talk(text: string): Promise<string> {
  const socket = program();
  socket.end(text);
  return String(await allOf(socket));
}

test("a program's first bytes go ahead, and what follows comes after them", async () => {
  const before = relay.attempts();
  const socket = program();
  socket.write("one ");
  await once(socket, "data");
  socket.end("x".repeat(300_000));
  expect((await allOf(socket)).length).toBe(300_000);
  expect(received).toBe(`one ${"x".repeat(300_000)}`);
  expect(state()).toMatchObject({ opened: 1, failed: 0 });
  // The path that comes after it, and none for the stream.
  await eventually(() => relay.attempts() === before + 1, "one path more");
});

test("a program that says nothing is connected as well, and one that ends at once", async () => {
  const quiet = program();
  await eventually(() => target.sockets.length === 1, "it is connected");
  target.sockets[0]!.write("hello");
  expect(String(((await once(quiet, "data")) as [Buffer])[0])).toBe("hello");
  quiet.destroy();
  await eventually(() => relay.parked() === 1, "a path is parked");
  expect(await talk("")).toBe("");
});

test("what may pass is waited out, and the bytes that went ahead go by the connection that opens", async () => {
  const busy = new RelayError("concurrency_limited", "as many as may be", { retryAfter: 1 });
  relay.dials = busy;
  relay.refuse = busy;
  setTimeout(() => {
    relay.dials = undefined;
    relay.refuse = undefined;
  }, 700);
  expect(await talk("early bytes")).toBe("early bytes");
  expect(received).toBe("early bytes");
  expect(state()).toMatchObject({ opened: 1, failed: 0 });
});

test("a refusal of the client itself is heard", async () => {
  const revoked = new RelayError("revoked", "the key was removed");
  relay.dials = revoked;
  relay.refuse = revoked;
  await expect(talk("x")).rejects.toMatchObject({ code: "ECONNRESET" });
  await eventually(() => refused !== undefined, "it is told");
  expect(refused).toMatchObject({ code: "revoked" });
  expect(state()).toMatchObject({ opened: 0, failed: 1 });
});

test("bytes of which nobody knows how far they came are not sent again", async () => {
  relay.dials = "destroy";
  await expect(talk("pay")).rejects.toMatchObject({ code: "ECONNRESET" });
  await pause(1_000);
  expect(received).toBe("");
  expect(state()).toMatchObject({ opened: 0, failed: 1, lastError: { code: "edge_unreachable" } });
});
