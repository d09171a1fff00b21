import { afterEach, beforeEach, expect, test } from "vitest";
import { CREDENTIALS, type ForwardProxy, startForwardProxy } from "../support/forward-proxy.ts";
import { eventually } from "../support/node-log.ts";
import { UserConnection } from "../support/proxy-user.ts";
import { RawOrigin } from "../support/raw-origin.ts";

/** A node that has to go, and requests in the absolute form. */

let proxy: ForwardProxy;
let origin: RawOrigin;
beforeEach(async () => {
  origin = await RawOrigin.start(0);
});
afterEach(async () => {
  await proxy.stop();
  await origin.close();
});

const known = () => [`Host: 127.0.0.1:${origin.port}`, CREDENTIALS];
const line = () => `GET http://127.0.0.1:${origin.port}/`;

test("what runs finishes, what is new is refused, and each answer ends its connection", async () => {
  proxy = await startForwardProxy({ drainSeconds: 10 });
  let free = () => {};
  origin.next(async (exchange) => {
    await new Promise<void>((done) => (free = done));
    await exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  const running = await UserConnection.open(proxy.port);
  running.ask(line(), known());
  await origin.request();
  const asked = proxy.asked.length;
  const next = await UserConnection.open(proxy.port);
  // One that rests would be closed.
  next.write(line().slice(0, 5));
  await new Promise((done) => setTimeout(done, 50));
  const drained = proxy.node.relay.drain();
  next.ask(line().slice(5), known());
  const refused = await next.whole();
  expect(refused.head.start).toBe("HTTP/1.1 503 Service Unavailable (node_draining)");
  expect([refused.field("relay-reached"), refused.field("connection")]).toEqual(["no", "close"]);
  expect([proxy.asked.length, origin.unasked]).toEqual([asked, 0]);
  await next.closed;
  free();
  const answer = await running.whole();
  expect([answer.text, answer.field("connection")]).toEqual(["ok", "close"]);
  await running.closed;
  await drained;
});

test("what doesn't finish in time is told so", async () => {
  proxy = await startForwardProxy({ drainSeconds: 0 });
  origin.next(() => {});
  const [unanswered, begun] = [await UserConnection.open(proxy.port), await UserConnection.open(proxy.port)];
  unanswered.ask(line(), known());
  const exchange = await origin.request();
  origin.next((one) => one.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na part"));
  begun.ask(line(), known());
  const cut = await begun.answer();
  await eventually(() => cut.body.bytes > 0, "the answer has begun");
  await proxy.node.relay.drain();
  const answer = await unanswered.whole();
  expect([answer.status, answer.field("relay-error"), answer.field("relay-reached")]).toEqual([
    503,
    "node_draining",
    "unknown",
  ]);
  await exchange.closed;
  await cut.ended;
  expect(cut.body.whole).toBe(false);
});
