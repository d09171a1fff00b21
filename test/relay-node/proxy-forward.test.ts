import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CREDENTIALS, type ForwardProxy, startForwardProxy } from "../support/forward-proxy.ts";
import { UserConnection } from "../support/proxy-user.ts";
import { RawOrigin } from "../support/raw-origin.ts";
import { targetFields } from "../support/raw-relayed.ts";

/** What a target and a user of the proxy see of each other, by requests in the absolute form. */

let proxy: ForwardProxy;
let origin: RawOrigin;
let url: string;
let host: string;
beforeAll(async () => {
  proxy = await startForwardProxy();
  origin = await RawOrigin.start(0);
  host = `127.0.0.1:${origin.port}`;
  url = `http://${host}`;
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

/** A request, what the target saw of it, and the answer. */
async function relayed(line: string, fields: readonly string[] = [], body = "") {
  const user = await open();
  user.ask(line, [`Host: ${host}`, CREDENTIALS, ...fields], body);
  const answer = await user.whole();
  const exchange = await origin.request();
  await exchange.ended;
  return { user, answer, exchange };
}

describe("a target sees", () => {
  test("method, path and query byte for byte, and fields in their order, with repeats, case and bytes", async () => {
    const path = "/a%2Fb/../%zz;x|y?q=%20'\"{}&&=#".replace("#", "");
    const { exchange, answer } = await relayed(`DELETE ${url}${path}`, [
      "X-Two: 1",
      "accept: */*",
      "x-two: \xe9\xff",
      "X-Empty:",
      "Cookie: a=b",
      "Cookie: c=d",
      "Via: 1.1 the-user's",
      "X-Forwarded-For: 10.0.0.1",
    ]);
    expect(answer.head.start).toBe("HTTP/1.1 200 OK");
    expect(exchange.head.start).toBe(`DELETE ${path} HTTP/1.1`);
    expect(exchange.head.fields).toEqual([
      ["host", host],
      ["connection", "keep-alive"],
      ["X-Two", "1"],
      ["accept", "*/*"],
      ["x-two", "\xe9\xff"],
      ["X-Empty", ""],
      ["Cookie", "a=b"],
      ["Cookie", "c=d"],
      ["Via", "1.1 the-user's"],
      ["X-Forwarded-For", "10.0.0.1"],
    ]);
    expect(exchange.head.framing).toBe("none");
  });

  test.each(["GET", "OPTIONS"])("a path of a slash where the URL has none: %s", async (method) => {
    const { exchange } = await relayed(`${method} ${url}?a=b`);
    expect(exchange.head.start).toBe(`${method} /?a=b HTTP/1.1`);
  });

  test("that its user is gone, which has ended its side", async () => {
    origin.next(() => {});
    const user = await open();
    user.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    const exchange = await origin.request();
    user.socket.end();
    await exchange.closed;
    expect(exchange.open).toBe(false);
  });

  test("none of what is between a user and its proxy", async () => {
    const { exchange } = await relayed(`GET ${url}/`, [
      "Proxy-Connection: keep-alive",
      "Proxy-Features: x",
      "Proxy-Authenticate: Basic",
      "Connection: keep-alive, X-Hop , x-other",
      "X-Hop: 1",
      "X-Other: 2",
      "X-Stays: 3",
      "Keep-Alive: timeout=5",
      "TE: trailers",
      "Trailer: X-Sum",
      "Upgrade: websocket",
      "HTTP2-Settings: AAMAAABk",
      "Relay-Authorization: Bearer x",
      "Relay-Target: http://other.example.com/",
    ]);
    expect(exchange.head.fields).toEqual([
      ["host", host],
      ["connection", "keep-alive"],
      ["X-Stays", "3"],
    ]);
  });

  test.each([
    { method: "GET", framing: [], seen: "none" },
    { method: "POST", framing: [], seen: "none" },
    { method: "POST", framing: ["Content-Length: 0"], seen: 0 },
    { method: "DELETE", framing: ["Content-Length: 0"], seen: 0 },
    { method: "PUT", framing: ["content-length: 5"], body: "bytes", seen: 5 },
    { method: "GET", framing: ["Content-Length: 5"], body: "bytes", seen: 5 },
    { method: "OPTIONS", framing: ["Content-Length: 5"], body: "bytes", seen: 5 },
    {
      method: "POST",
      framing: ["Transfer-Encoding: chunked"],
      body: "2\r\nby\r\n3\r\ntes\r\n0\r\n\r\n",
      seen: "chunked",
    },
    {
      method: "POST",
      framing: ["Transfer-Encoding: Chunked"],
      body: "0\r\n\r\n",
      seen: "chunked",
      empty: true,
    },
    {
      method: "PATCH",
      framing: ["Transfer-Encoding: chunked", "Trailer: X-Sum"],
      body: "5\r\nbytes\r\n0\r\nX-Sum: 1\r\n\r\n",
      seen: "chunked",
    },
  ])("a body framed as it came: $method $framing", async ({ method, framing, body = "", seen, empty }) => {
    const { exchange } = await relayed(`${method} ${url}/`, framing, body);
    expect(exchange.head.framing).toBe(seen);
    expect([exchange.body.whole, exchange.body.trailers]).toEqual([true, []]);
    expect(exchange.body.content.toString()).toBe(body === "" || empty === true ? "" : "bytes");
  });

  test("a connection that is kept, and never shared between clients", async () => {
    const user = await open();
    const connections: number[] = [];
    for (const name of ["app", "app", "other"]) {
      user.ask(`GET ${url}/`, [`Host: ${host}`, `Proxy-Authorization: Basic ${btoa(`${name}:secret`)}`]);
      expect((await user.whole()).status).toBe(200);
      connections.push((await origin.request()).connection);
    }
    expect(connections[0]).toBe(connections[1]);
    expect(connections[2]).not.toBe(connections[1]);
  });
});

describe("a user sees", () => {
  test("status, reason and fields as the target sent them, and besides them marks alone", async () => {
    origin.next((exchange) =>
      exchange.send(
        "HTTP/1.1 418 I'm \xe9 teapot\r\nX-Two: 1\r\nset-cookie: a=b\r\nx-two: \xe9\xff\r\nSet-Cookie: c=d\r\nX-Empty:\r\n" +
          "Content-Disposition: attachment; filename=\xe9\r\ncontent-length: 2\r\nProxy-Status: theirs\r\n" +
          "Relay-Status: forged\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nDate: then\r\n\r\nok",
      ),
    );
    const { answer } = await relayed(`GET ${url}/`);
    expect(answer.head.start).toBe("HTTP/1.1 418 I'm \xe9 teapot");
    const own = answer.head.fields.filter(([name]) => /^(connection|keep-alive)$/i.test(name));
    expect(own.map(([name]) => name)).toEqual(["Connection", "Keep-Alive"]);
    expect(targetFields(answer.head.fields).filter((field) => !own.includes(field))).toEqual([
      ["X-Two", "1"],
      ["set-cookie", "a=b"],
      ["x-two", "\xe9\xff"],
      ["Set-Cookie", "c=d"],
      ["X-Empty", ""],
      ["Content-Disposition", "attachment; filename=\xe9"],
      ["content-length", "2"],
      ["Proxy-Status", "theirs"],
      ["Date", "then"],
    ]);
    expect(answer.text).toBe("ok");
    expect([answer.field("relay-status"), answer.field("relay-node"), answer.field("relay-egress")]).toEqual([
      "target",
      "node-1",
      "127.0.0.2",
    ]);
    expect(answer.field("relay-request-id")).toMatch(/^[\w-]{22}$/);
    expect(answer.field("relay-timing")).toContain("connection;desc=");
  });

  test("no Date where the target sent none", async () => {
    const { answer } = await relayed(`GET ${url}/`);
    expect(answer.field("date")).toBeUndefined();
  });

  test("an empty reason, and a status beyond the known ones", async () => {
    origin.next((exchange) => exchange.send("HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n"));
    const { answer } = await relayed(`GET ${url}/`);
    expect(answer.head.start).toBe("HTTP/1.1 799 ");
  });

  test.each([
    { what: "HEAD with a length", line: "HEAD", head: "200 OK\r\nContent-Length: 1000\r\n", length: "1000" },
    {
      what: "HEAD with chunks",
      line: "HEAD",
      head: "200 OK\r\nTransfer-Encoding: chunked\r\n",
      length: undefined,
    },
    { what: "204", line: "GET", head: "204 No Content\r\n", length: undefined },
    { what: "304", line: "GET", head: "304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n", length: "7" },
  ])("no body, and the connection goes on: $what", async ({ line, head, length }) => {
    origin.next((exchange) => exchange.send(`HTTP/1.1 ${head}\r\n`));
    const { answer, user } = await relayed(`${line} ${url}/`);
    expect([answer.field("content-length"), answer.field("transfer-encoding"), answer.text]).toEqual([
      length,
      undefined,
      "",
    ]);
    user.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    expect((await user.whole()).text).toBe("ok");
    await origin.request();
  });

  test("chunks, and no trailers", async () => {
    origin.next((exchange) =>
      exchange.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n",
      ),
    );
    const { answer } = await relayed(`GET ${url}/`);
    expect([answer.head.framing, answer.text, answer.body.trailers]).toEqual(["chunked", "abcde", []]);
    expect(answer.field("trailer")).toBeUndefined();
  });

  test("a body that ends with its connection: in chunks, so that a cut would show", async () => {
    origin.next(async (exchange) => {
      await exchange.send("HTTP/1.1 200 OK\r\n\r\nall of it");
      exchange.finish();
    });
    const { answer } = await relayed(`GET ${url}/`);
    expect([answer.head.framing, answer.text]).toEqual(["chunked", "all of it"]);
  });

  test("no interim answers but the one that asks for its body", async () => {
    origin.next((exchange) =>
      exchange.send(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      ),
    );
    const { answer, user } = await relayed(`GET ${url}/`);
    expect([answer.text, user.interim]).toEqual(["ok", []]);
  });

  test("an answer of many fields", async () => {
    const lines = Array.from({ length: 1_500 }, (_, i) => `X-Field-${i}: ${"v".repeat(80)}\r\n`).join("");
    origin.next((exchange) => exchange.send(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nok`));
    const { answer } = await relayed(`GET ${url}/`);
    expect(answer.head.fields.filter(([name]) => name.startsWith("X-Field-")).length).toBe(1_500);
    expect(answer.text).toBe("ok");
  });

  test("not an answer of still more fields", async () => {
    origin.next((exchange) => exchange.send(`HTTP/1.1 200 OK\r\nX-Long: ${"v".repeat(300_000)}\r\n\r\n`));
    const { answer } = await relayed(`GET ${url}/`);
    expect([answer.status, answer.field("relay-error")]).toEqual([502, "target_fields_too_large"]);
  });

  test("a head at once, and each piece of a body as it comes", async () => {
    let next = () => {};
    origin.next(async (exchange) => {
      await exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
      await new Promise<void>((done) => (next = done));
      await exchange.send("data: 1\n\n");
      await new Promise<void>((done) => (next = done));
      exchange.finish();
    });
    const user = await open();
    user.ask(`GET ${url}/events`, [`Host: ${host}`, CREDENTIALS]);
    const answer = await user.answer();
    expect(answer.body.bytes).toBe(0);
    next();
    await expect.poll(() => answer.body.content.toString()).toBe("data: 1\n\n");
    next();
    await answer.ended;
    expect(answer.body.whole).toBe(true);
    await origin.request();
  });
});

describe("a user of HTTP/1.0", () => {
  test("gets no chunks, and the connection's end as the body's", async () => {
    origin.next((exchange) =>
      exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    );
    const user = await open();
    user.ask(`GET ${url}/ HTTP/1.0`, [CREDENTIALS]);
    const answer = await user.whole();
    expect([answer.head.framing, answer.text, answer.body.whole]).toEqual(["close", "abcde", true]);
    expect(await user.closed).toBeUndefined();
    expect((await origin.request()).head.start).toBe("GET / HTTP/1.1");
  });

  test("may keep its connection where a length is known", async () => {
    const user = await open();
    for (const path of ["/1", "/2"]) {
      user.ask(`GET ${url}${path} HTTP/1.0`, [CREDENTIALS, "Connection: keep-alive"]);
      expect((await user.whole()).text).toBe("ok");
      await origin.request();
    }
  });

  test("gets a reset where the answer was cut", async () => {
    origin.next(async (exchange) => {
      await exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
      await exchange.die();
    });
    const user = await open();
    user.ask(`GET ${url}/ HTTP/1.0`, [CREDENTIALS]);
    const answer = await user.answer();
    await answer.ended;
    expect(answer.body.whole).toBe(false);
    expect(await user.closed).toMatchObject({ code: "ECONNRESET" });
    await origin.request();
  });
});

describe("one connection", () => {
  test("carries requests to several targets, each authorised anew", async () => {
    const other = await RawOrigin.start(0);
    const user = await open();
    const before = proxy.asked.length;
    for (const port of [origin.port, other.port, origin.port]) {
      user.ask(`GET http://127.0.0.1:${port}/`, [`Host: 127.0.0.1:${port}`, CREDENTIALS]);
      expect((await user.whole()).status).toBe(200);
    }
    expect(proxy.asked.slice(before).map(({ target }) => target)).toEqual([
      url,
      `http://127.0.0.1:${other.port}`,
      url,
    ]);
    await Promise.all([origin.request(), other.request(), origin.request()]);
    await other.close();
  });

  test("carries requests that were sent at once, one after another and in order", async () => {
    const user = await open();
    const seen: string[] = [];
    let running = 0;
    for (const path of ["/1", "/2", "/3"]) {
      origin.next(async (exchange) => {
        seen.push(`${exchange.head.start} ${++running}`);
        await new Promise((done) => setTimeout(done, 20));
        running--;
        await exchange.send(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${path}`);
      });
      user.ask(`GET ${url}${path}`, [`Host: ${host}`, CREDENTIALS]);
    }
    for (const path of ["/1", "/2", "/3"]) {
      expect((await user.whole()).text).toBe(path);
      await origin.request();
    }
    expect(seen).toEqual(["GET /1 HTTP/1.1 1", "GET /2 HTTP/1.1 1", "GET /3 HTTP/1.1 1"]);
  });

  test("that carries what is no HTTP behind a request is closed behind the answer", async () => {
    let free = () => {};
    origin.next(async (exchange) => {
      await new Promise<void>((done) => (free = done));
      await exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    const user = await open();
    user.ask(`POST ${url}/`, [`Host: ${host}`, CREDENTIALS, "Content-Length: 1"], "x");
    await (
      await origin.request()
    ).ended;
    user.write("no HTTP\r\n\r\n");
    await new Promise((done) => setTimeout(done, 50));
    free();
    const answer = await user.whole();
    expect([answer.status, answer.text, answer.field("connection")]).toEqual([200, "ok", "close"]);
    await user.closed;
  });

  test("is cut where very many were sent at once", async () => {
    origin.next(() => {});
    const user = await open();
    for (let i = 0; i < 40; i++) user.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    await expect(user.answer()).rejects.toThrow("closed");
    await (
      await origin.request()
    ).closed;
  });
});
