import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { reset as clientReset } from "../../../client/node/reset.ts";
import { reset as nodeReset } from "../../../relay-node/reset.ts";

let server: net.Server | undefined;
afterEach(() => server?.close());

/** Both ends of a connection of this machine's. */
async function pair(): Promise<[near: net.Socket, far: net.Socket]> {
  server = net.createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const far = net.connect({
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    allowHalfOpen: true,
  });
  const [near] = (await once(server, "connection")) as [net.Socket];
  for (const side of [near, far]) side.on("error", () => {});
  return [near, far];
}

/** How a connection ends for the one who reads it. */
async function ending(far: net.Socket): Promise<string> {
  const failed = once(far, "error").then(([error]) => (error as NodeJS.ErrnoException).code ?? "error");
  far.resume();
  return Promise.race([failed, once(far, "end").then(() => "end")]);
}

describe.each([
  ["the client's", clientReset],
  ["the node's", nodeReset],
])("%s reset", (_whose, reset) => {
  test.each([
    ["an idle connection", () => {}, "ECONNRESET"],
    [
      "one with bytes still to be written",
      (near: net.Socket) => near.write(Buffer.alloc(30_000_000)),
      "ECONNRESET",
    ],
    [
      "one that was to end behind those",
      (near: net.Socket) => near.end(Buffer.alloc(30_000_000)),
      "ECONNRESET",
    ],
    ["one whose end is on its way", (near: net.Socket) => near.end(), "end"],
    ["one whose last bytes and end are on their way", (near: net.Socket) => near.end("x"), "end"],
  ])("closes %s", async (_, before, expected) => {
    const [near, far] = await pair();
    const closed = new Promise((resolve) => near.once("close", resolve));
    const seen = ending(far);
    before(near);
    reset(near);
    await closed;
    expect(await seen).toBe(expected);
    far.destroy();
  });

  test("closes one that has ended its side before", async () => {
    const [near, far] = await pair();
    near.end();
    await once(near, "finish");
    const closed = new Promise((resolve) => near.once("close", resolve));
    reset(near);
    await closed;
    far.destroy();
    expect(near.destroyed).toBe(true);
  });
});
