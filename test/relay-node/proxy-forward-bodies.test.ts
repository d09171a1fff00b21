import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CREDENTIALS, type ForwardProxy, startForwardProxy } from "../support/forward-proxy.ts";
import { eventually } from "../support/node-log.ts";
import { HEADS, part } from "../support/partial.ts";
import { UserConnection } from "../support/proxy-user.ts";
import { type OriginExchange, RawOrigin } from "../support/raw-origin.ts";

/** Bodies by requests in the absolute form: what was cut arrives as cut, and nobody uploads for nothing. */

let proxy: ForwardProxy;
let origin: RawOrigin;
let url: string;
let host: string;
let known: string[];
beforeAll(async () => {
  proxy = await startForwardProxy();
  origin = await RawOrigin.start(0);
  host = `127.0.0.1:${origin.port}`;
  url = `http://${host}`;
  known = [`Host: ${host}`, CREDENTIALS];
});
afterAll(async () => {
  await proxy.stop();
  await origin.close();
});

const users: UserConnection[] = [];
afterEach(() => {
  for (const user of users.splice(0)) user.close();
});

async function open(): Promise<UserConnection> {
  const user = await UserConnection.open(proxy.port);
  users.push(user);
  return user;
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

describe("an answer that is cut never looks whole", () => {
  const ends = {
    "its process killed": (exchange: OriginExchange) => exchange.die(),
    "its connection reset": (exchange: OriginExchange) => exchange.reset(),
  };
  const cases = (["length", "chunked", "close"] as const).flatMap((framing) =>
    (Object.keys(ends) as (keyof typeof ends)[])
      // Where its connection's end is the body's, a good end is no cut.
      .filter((how) => framing !== "close" || how === "its connection reset")
      .flatMap((how) => ["1.1", "1.0"].map((version) => ({ framing, how, version }))),
  );
  test.each(cases)("framed by $framing, $how, to HTTP/$version", async ({ framing, how, version }) => {
    let cut = () => {};
    origin.next(async (exchange) => {
      await exchange.send(HEADS[framing] + part(framing));
      await new Promise<void>((done) => (cut = done));
      await ends[how](exchange);
    });
    const user = await open();
    user.ask(`GET ${url}/ HTTP/${version}`, known);
    const answer = await user.answer();
    await expect.poll(() => answer.body.content.toString()).toBe("a part");
    cut();
    await answer.ended;
    expect(answer.body.whole).toBe(false);
    await user.closed;
    await origin.request();
  });

  test("more bytes than its length are no part of it", async () => {
    origin.next((exchange) =>
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 forged\r\n\r\n"),
    );
    const user = await open();
    user.ask(`GET ${url}/`, known);
    expect((await user.whole()).text).toBe("ok");
    await origin.request();
    user.ask(`GET ${url}/`, known);
    expect((await user.whole()).head.start).toBe("HTTP/1.1 200 OK");
    await origin.request();
  });
});

describe("an upload that is cut is never ended as whole", () => {
  const cases = (["length", "chunked"] as const).flatMap((framing) =>
    (["fin", "reset"] as const).map((how) => ({ framing, how })),
  );
  test.each(cases)("framed by $framing, by $how", async ({ framing, how }) => {
    const user = await open();
    origin.next(() => {});
    const line = framing === "length" ? "Content-Length: 10" : "Transfer-Encoding: chunked";
    user.ask(`POST ${url}/`, [...known, line], framing === "length" ? "abc" : "3\r\nabc\r\n");
    const exchange = await origin.request();
    await expect.poll(() => exchange.body.content.toString()).toBe("abc");
    if (how === "fin") user.socket.end();
    else user.socket.resetAndDestroy();
    await exchange.closed;
    expect([exchange.body.whole, exchange.body.content.toString()]).toEqual([false, "abc"]);
  });

  test("by a chunk that is none", async () => {
    const user = await open();
    origin.next(() => {});
    user.ask(`POST ${url}/`, [...known, "Transfer-Encoding: chunked"], "3\r\nabc\r\n");
    const exchange = await origin.request();
    await expect.poll(() => exchange.body.content.toString()).toBe("abc");
    user.write("zz\r\n");
    await exchange.closed;
    expect(exchange.body.whole).toBe(false);
  });
});

test("an upload streams: the target has its first bytes before its last are there", async () => {
  const user = await open();
  user.ask(`POST ${url}/`, [...known, "Transfer-Encoding: chunked"], "3\r\nabc\r\n");
  const exchange = await origin.request();
  await expect.poll(() => exchange.body.content.toString()).toBe("abc");
  user.write("3\r\ndef\r\n0\r\n\r\n");
  expect((await user.whole()).text).toBe("ok");
  expect([exchange.body.whole, exchange.body.content.toString()]).toEqual([true, "abcdef"]);
});

describe("an answer in mid-upload", () => {
  test("that is whole reaches the user, and its connection goes on once the upload is over", async () => {
    origin.next((exchange) => exchange.send(OK));
    const user = await open();
    user.ask(`POST ${url}/`, [...known, "Content-Length: 6"], "abc");
    expect((await user.whole()).text).toBe("ok");
    expect((await (await origin.request()).closed) > 0).toBe(true);
    user.write("def");
    user.ask(`GET ${url}/`, known);
    expect((await user.whole()).text).toBe("ok");
    await origin.request();
  });

  test("that has only begun goes on while the upload does", async () => {
    origin.next(async (exchange) => {
      await exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
      await exchange.ended;
      await exchange.send("def");
    });
    const user = await open();
    user.ask(`POST ${url}/`, [...known, "Content-Length: 6"], "123");
    const answer = await user.answer();
    const exchange = await origin.request();
    await expect.poll(() => answer.body.content.toString()).toBe("abc");
    user.write("456");
    await answer.ended;
    expect([answer.body.content.toString(), exchange.body.content.toString()]).toEqual(["abcdef", "123456"]);
  });
});

describe("Expect: 100-continue", () => {
  const expecting = () => [...known, "Content-Length: 5", "Expect: 100-continue"];

  test("a user is asked for its body once its target is connected, and the target isn't told", async () => {
    const user = await open();
    user.ask(`POST ${url}/`, expecting());
    await expect.poll(() => user.interim.map(({ start }) => start)).toEqual(["HTTP/1.1 100 Continue"]);
    user.write("bytes");
    expect((await user.whole()).text).toBe("ok");
    const { head, body } = await origin.request();
    expect(head.fields.map(([name]) => name.toLowerCase())).toEqual(["host", "connection", "content-length"]);
    expect(body.content.toString()).toBe("bytes");
    expect(user.interim.length).toBe(1);
    user.ask(`GET ${url}/`, known);
    expect((await user.whole()).text).toBe("ok");
    await origin.request();
  });

  test("a failure after that ends the connection, since the body is on its way", async () => {
    origin.next(async (exchange) => exchange.reset());
    const user = await open();
    user.ask(`POST ${url}/`, expecting());
    await expect.poll(() => user.interim.length).toBe(1);
    user.write("by");
    const answer = await user.answer();
    expect([answer.field("relay-error"), answer.field("connection")]).toEqual(["target_closed", "close"]);
    await origin.request();
    user.write("tes");
    expect(await user.closed).toBeUndefined();
  });

  test.each([
    { what: "is unknown", fields: [], target: () => url, code: "proxy_credentials_missing" },
    {
      what: "asks for what it may not",
      fields: [CREDENTIALS],
      target: () => "http://10.0.0.1",
      code: "address_refused",
    },
  ])("a user that $what is told so, and never asked for its body", async ({ fields, target, code }) => {
    const user = await open();
    const where = target();
    user.ask(`POST ${where}/`, [
      `Host: ${where.slice(7)}`,
      ...fields,
      "Content-Length: 5",
      "Expect: 100-continue",
    ]);
    const answer = await user.whole();
    expect([answer.field("relay-error"), answer.field("connection"), user.interim]).toEqual([
      code,
      "close",
      [],
    ]);
    await user.closed;
  });

  test("another expectation is nobody's", async () => {
    const user = await open();
    user.ask(`POST ${url}/`, [...known, "Content-Length: 5", "Expect: 200-ok"], "bytes");
    expect((await user.whole()).text).toBe("ok");
    await origin.request();
  });

  test("under HTTP/1.0 nobody is asked", async () => {
    const user = await open();
    user.ask(`POST ${url}/ HTTP/1.0`, expecting(), "bytes");
    expect((await user.whole()).text).toBe("ok");
    expect(user.interim).toEqual([]);
    await origin.request();
  });
});

describe("an upload that is refused", () => {
  test.each([
    { what: "from somebody unknown", fields: [] as string[], status: 407 },
    { what: "to where its user may not", fields: [CREDENTIALS], status: 403 },
  ])("$what: is answered at once, and its connection closed", async ({ fields, status }) => {
    const user = await open();
    user.ask(`POST http://10.0.0.1/`, ["Host: 10.0.0.1", ...fields, "Content-Length: 100000000"], "abc");
    const answer = await user.answer();
    await answer.ended;
    expect([answer.status, answer.body.whole, answer.field("connection")]).toEqual([status, true, "close"]);
    user.socket.end();
    await user.closed;
    await eventually(() => proxy.node.relay.limits.slots === 0, "the slot is free");
  });

  test("is read for a while, so that nothing overtakes the answer, and not for ever", async () => {
    const user = await open();
    user.ask(`POST ${url}/`, [`Host: ${host}`, "Content-Length: 100000000000"]);
    const piece = Buffer.alloc(65_536);
    const timer = setInterval(() => user.socket.destroyed || user.write(piece), 20);
    const answer = await user.answer();
    await answer.ended;
    expect(answer.status).toBe(407);
    await user.closed;
    clearInterval(timer);
  });

  test("whose end comes leaves in good order", async () => {
    const user = await open();
    user.ask(`POST ${url}/`, [`Host: ${host}`, "Content-Length: 200000"], "a".repeat(1_000));
    const answer = await user.answer();
    await answer.ended;
    user.write("a".repeat(199_000));
    expect(await user.closed).toBeUndefined();
    expect(answer.status).toBe(407);
  });
});

test("a user that reads nothing slows its target, and a user that goes ends the target's connection", async () => {
  let sent = 0;
  origin.next(async (exchange) => {
    await exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
    while (exchange.open) {
      await exchange.send(chunk);
      sent++;
    }
  });
  const user = await open();
  user.ask(`GET ${url}/`, known);
  await user.answer();
  user.socket.pause();
  let before = -1;
  await eventually(
    async () => {
      const stands = before === sent;
      before = sent;
      await new Promise((done) => setTimeout(done, 200));
      return stands && before === sent;
    },
    "the target stands still",
    10_000,
  );
  // What the kernel and the node hold between them.
  expect(sent * 65_536).toBeLessThan(64_000_000);
  user.close();
  await (
    await origin.request()
  ).closed;
});

describe("a warm connection that its target has closed", () => {
  const closing = (exchange: OriginExchange) => exchange.send(OK);

  test("a GET goes once more", async () => {
    const user = await open();
    const as = [`Host: ${host}`, `Proxy-Authorization: Basic ${btoa("warm:secret")}`];
    origin.next(closing);
    user.ask(`GET ${url}/`, as);
    await user.whole();
    await origin.request();
    origin.next(async (exchange) => exchange.reset());
    origin.next(closing);
    user.ask(`GET ${url}/`, as);
    expect((await user.whole()).text).toBe("ok");
    expect([(await origin.request()).connection, (await origin.request()).connection].length).toBe(2);
  });

  test("a POST doesn't", async () => {
    const user = await open();
    const as = [`Host: ${host}`, `Proxy-Authorization: Basic ${btoa("warm2:secret")}`];
    origin.next(closing);
    user.ask(`GET ${url}/`, as);
    await user.whole();
    await origin.request();
    origin.next(async (exchange) => exchange.reset());
    user.ask(`POST ${url}/`, [...as, "Content-Length: 1"], "x");
    const answer = await user.whole();
    expect([answer.status, answer.field("relay-error"), answer.field("relay-reached")]).toEqual([
      502,
      "target_closed",
      "unknown",
    ]);
    await origin.request();
    expect(origin.unasked).toBe(0);
  });
});
