import { afterAll, beforeAll, expect, test } from "vitest";
import { createOpener, openerOf } from "../../../client/node/opener.ts";
import { createSockets } from "../../../client/node/sockets.ts";
import { allOf } from "../../support/all-of.ts";
import { type StreamRelay, startStreamRelay } from "../../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../../support/tcp-target.ts";

let relay: StreamRelay;
let target: TcpTarget;
const heard: string[] = [];

beforeAll(async () => {
  relay = await startStreamRelay();
  target = await startTcpTarget((connection) => {
    void allOf(connection).then((said) => {
      heard.push(said.toString());
      connection.end(`you said ${said.toString()}`);
    });
  });
});
afterAll(async () => {
  await relay?.close();
  await target?.close();
});

test("opens connections that can be half open", async () => {
  const connection = await createOpener(relay.url)({ host: "127.0.0.1", port: target.port });
  connection.end("this");
  expect((await allOf(connection)).toString()).toBe("you said this");
});

test("rejects with what the relay said", async () => {
  await expect(createOpener(relay.url)({ host: "127.0.0.1", port: 1 })).rejects.toMatchObject({
    name: "RelayError",
    code: "connect_refused",
    reached: "no",
  });
});

test("sockets tell when what a closed one was given has arrived", async () => {
  const sockets = createSockets(relay.url);
  const connection = await openerOf(sockets)({ host: "127.0.0.1", port: target.port });
  connection.end("all of this");
  connection.destroy();
  await sockets.settled();
  expect(heard).toContain("all of this");
});

test("gives up by its signal", async () => {
  relay.refuse = "silent";
  const signal = AbortSignal.timeout(50);
  await expect(
    createOpener(relay.url)({ host: "127.0.0.1", port: target.port, signal }),
  ).rejects.toMatchObject({
    name: "TimeoutError",
  });
});
