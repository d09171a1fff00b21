import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../support/node-log.ts";
import { begin } from "../../support/run.ts";
import { type StreamRelay, startStreamRelay } from "../../support/stream-relay.ts";

/** What a socket by itself keeps alive, and what not. */

let relay: StreamRelay;
beforeAll(async () => {
  relay = await startStreamRelay();
});
afterAll(() => relay.close());

test("a socket that waits for a silent edge, and is not to keep its process alive, does not", async () => {
  relay.refuse = "silent";
  const code = `
    import { createSockets } from ${JSON.stringify(new URL("../../../client/node/index.ts", import.meta.url).href)};
    const socket = createSockets(process.env.RELAY).connect({ host: "127.0.0.1", port: 1 });
    process.once("SIGUSR2", () => socket.unref());
  `;
  const before = relay.attempts();
  const { child, ended } = begin(process.execPath, ["--input-type=module", "-e", code], {
    env: { RELAY: relay.url },
  });
  await eventually(() => relay.attempts() > before, "it asks", 30_000);
  const unwanted = performance.now();
  child.kill("SIGUSR2");
  const { code: exit, stderr } = await ended;
  expect([exit, stderr]).toEqual([0, ""]);
  expect(performance.now() - unwanted).toBeLessThan(20_000);
  expect(relay.attempts()).toBe(before + 1);
}, 90_000);
