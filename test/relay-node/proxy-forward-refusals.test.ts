import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { CREDENTIALS, type ForwardProxy, startForwardProxy } from "../support/forward-proxy.ts";
import { eventually } from "../support/node-log.ts";
import { UserConnection } from "../support/proxy-user.ts";
import { RawOrigin } from "../support/raw-origin.ts";

/** Who and what is not let through by requests in the absolute form, how it is told, and what the log has of it. */

let proxy: ForwardProxy;
let origin: RawOrigin;
let url: string;
let host: string;
beforeAll(async () => {
  // Connections are counted here: none is made ahead.
  proxy = await startForwardProxy({ spares: { inAll: 0 } });
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
  proxy.judge = undefined;
  proxy.limits = undefined;
  proxy.within = undefined;
});

async function open(): Promise<UserConnection> {
  const user = await UserConnection.open(proxy.port);
  users.push(user);
  return user;
}

/** The node's lines of requests at this door, in order. */
const lines = () => proxy.node.log().filter(({ msg, door }) => msg === "request" && door === "proxy");

async function refused(line: string, fields: readonly string[]) {
  const user = await open();
  const [connections, asked] = [origin.connections, proxy.asked.length];
  user.ask(line, fields);
  const answer = await user.whole();
  expect(origin.connections).toBe(connections);
  return { user, answer, asked: proxy.asked.length - asked };
}

const basic = (text: string) => `Proxy-Authorization: Basic ${btoa(text)}`;

describe("a request without good credentials gets a 407 that names the code", () => {
  test.each([
    { what: "none", fields: [], code: "proxy_credentials_missing", asked: 0 },
    {
      what: "of an unknown scheme",
      fields: ["Proxy-Authorization: Digest x"],
      code: "proxy_credentials_invalid",
      asked: 0,
    },
    {
      what: "that can't be read",
      fields: ["Proxy-Authorization: Basic ***"],
      code: "proxy_credentials_invalid",
      asked: 0,
    },
    { what: "that the edge doesn't know", fields: [basic("app:wrong")], code: "handle_unknown", asked: 1 },
  ])("$what", async ({ fields, code, asked }) => {
    const before = lines().length;
    const told = await refused(`GET ${url}/secret-path`, [`Host: ${host}`, ...fields]);
    const { answer } = told;
    expect(answer.head.start).toBe(`HTTP/1.1 407 Proxy Authentication Required (${code})`);
    expect(told.asked).toBe(asked);
    expect([answer.field("relay-error"), answer.field("relay-reached")]).toEqual([code, "no"]);
    expect(answer.field("proxy-status")).toBe("holdfast; error=http_request_denied");
    expect(answer.field("proxy-authenticate")).toBe(
      'Basic realm="holdfast", charset="UTF-8", Bearer realm="holdfast"',
    );
    expect(answer.field("content-type")).toBe("application/problem+json");
    expect(JSON.parse(answer.text)).toMatchObject({ status: 407, code, reached: "no" });
    await eventually(() => lines().length > before, "its line is written");
    // pino's debug.
    expect(lines().at(-1)).toMatchObject({ level: 20, reason: code, decision: "refused" });
    // The connection goes on, with credentials.
    told.user.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    expect((await told.user.whole()).status).toBe(200);
    await origin.request();
  });

  test("a HEAD is told by its fields", async () => {
    const { answer } = await refused(`HEAD ${url}/`, [`Host: ${host}`]);
    expect([answer.status, answer.text, answer.field("relay-error")]).toEqual([
      407,
      "",
      "proxy_credentials_missing",
    ]);
  });
});

test("the edge is asked for the origin, with what the user gave", async () => {
  const user = await open();
  for (const [field, who] of [
    [basic("app:secret"), { user: "app", credential: "secret" }],
    ["proxy-authorization: bearer secret", { user: undefined, credential: "secret" }],
  ] as const) {
    user.ask(`GET ${url.toUpperCase()}/path?query`, [`Host: ${host}`, field]);
    expect((await user.whole()).status).toBe(200);
    await origin.request();
    expect(proxy.asked.at(-1)).toEqual({ user: { ...who, from: "127.0.0.1" }, target: url });
  }
});

describe("a request that is none for this door is refused before anybody is asked", () => {
  test.each([
    ["a path", "GET /path", 400, "request_invalid", "absolute http:// URLs"],
    ["https", "GET https://api.example.com/", 400, "request_invalid", "CONNECT"],
    ["another scheme", "GET ftp://api.example.com/", 400, "url_invalid", "http"],
    ["user info", "GET http://a:b@api.example.com/", 400, "url_invalid", "user info"],
    ["an address in hex", "GET http://0x7f.1/", 400, "url_invalid", "canonical"],
    ["TRACE", "TRACE http://127.0.0.1/", 405, "method_not_allowed", "TRACE"],
  ])("%s", async (_what, line, status, code, text) => {
    const authority = /\/\/([^/]+)/.exec(line)?.[1] ?? "x";
    const { answer, asked } = await refused(line, [`Host: ${authority}`, CREDENTIALS]);
    expect([answer.status, answer.field("relay-error"), asked]).toEqual([status, code, 0]);
    expect(answer.head.start).toContain(`(${code})`);
    expect((JSON.parse(answer.text) as { detail: string }).detail).toContain(text);
  });

  test("credentials twice", async () => {
    const { answer, asked } = await refused(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS, CREDENTIALS]);
    expect([answer.status, answer.field("relay-error"), asked]).toEqual([400, "request_invalid", 0]);
  });

  test("a Host field that names another", async () => {
    const { answer, asked } = await refused(`GET ${url}/`, ["Host: other.example.com", CREDENTIALS]);
    expect([answer.status, answer.field("relay-error"), asked]).toEqual([400, "request_invalid", 0]);
  });
});

describe("a target", () => {
  test.each([
    [
      "the edge refuses it",
      new RelayError("target_not_allowed", "no"),
      403,
      "Forbidden (target_not_allowed)",
    ],
    [
      "the edge can't be asked",
      new RelayError("authorization_unavailable", "no"),
      503,
      "Service Unavailable (authorization_unavailable)",
    ],
    ["nobody knows why", new TypeError("secret"), 500, "Internal Server Error (node_internal)"],
  ])("%s", async (_what, error, status, reason) => {
    proxy.judge = () => Promise.reject(error);
    const { answer } = await refused(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    expect(answer.head.start).toBe(`HTTP/1.1 ${status} ${reason}`);
    expect(answer.text).not.toContain("secret");
  });

  test("is limited to methods and paths: each request of a connection is judged", async () => {
    proxy.within = [[`GET ${url}/v1/*`, `POST ${url}/pay`], [`GET,POST ${url}`]];
    const user = await open();
    const ask = async (line: string) => {
      user.ask(line, [`Host: ${host}`, CREDENTIALS]);
      const answer = await user.whole();
      if (answer.status === 200) await origin.request();
      return [answer.status, answer.field("relay-error")];
    };
    const no = [403, "target_not_allowed"];
    expect(await ask(`GET ${url}/v1/a?b`)).toEqual([200, undefined]);
    expect(await ask(`GET ${url}/v2`)).toEqual(no);
    expect(await ask(`POST ${url}/pay`)).toEqual([200, undefined]);
    expect(await ask(`POST ${url}/v1/a`)).toEqual(no);
    expect(await ask(`DELETE ${url}/v1/a`)).toEqual(no);
    expect(await ask(`GET ${url}/v1/%2e%2e/pay`)).toEqual(no);
    expect(origin.unasked).toBe(0);
  });

  test.each([
    ["is at a refused address", "http://10.0.0.1", 403, "address_refused", "no"],
    ["refuses the connection", "http://127.0.0.1:1", 502, "connect_refused", "no"],
  ])("%s", async (_what, target, status, code, reached) => {
    const { answer } = await refused(`GET ${target}/`, [`Host: ${target.slice(7)}`, CREDENTIALS]);
    expect([answer.status, answer.field("relay-error"), answer.field("relay-reached")]).toEqual([
      status,
      code,
      reached,
    ]);
    expect(answer.field("proxy-status")).toMatch(/^holdfast; error=\w+$/);
    expect(answer.field("relay-request-id")).toMatch(/^[\w-]{22}$/);
  });

  test.each([
    ["is not HTTP", "SSH-2.0-OpenSSH_9.9\r\n", 502, "target_protocol"],
    [
      "switches protocols",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
      502,
      "target_protocol",
    ],
    [
      "has two lengths",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
      502,
      "target_protocol",
    ],
    [
      "has a coding besides chunked",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      502,
      "target_protocol",
    ],
    [
      "has a control in its reason",
      "HTTP/1.1 204 a\x01b\r\nContent-Length: 0\r\n\r\n",
      502,
      "target_protocol",
    ],
    ["has a control in a field", "HTTP/1.1 204 OK\r\nX: a\x01b\r\n\r\n", 502, "target_protocol"],
    ["has a delete in a field", "HTTP/1.1 204 OK\r\nX: a\x7fb\r\n\r\n", 502, "target_protocol"],
    ["has a name that is none", "HTTP/1.1 204 OK\r\nX@: a\r\n\r\n", 502, "target_protocol"],
    ["is none", "", 502, "target_closed"],
  ])("an answer that %s", async (_what, text, status, code) => {
    origin.next(async (exchange) => {
      await exchange.send(text);
      await exchange.die();
    });
    const user = await open();
    user.ask(`POST ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    const answer = await user.whole();
    expect([answer.status, answer.field("relay-error")]).toEqual([status, code]);
    expect(JSON.parse(answer.text)).toMatchObject({ code });
    await origin.request();
  });
});

describe("a client's limits", () => {
  test("hold its requests, each of a connection", async () => {
    proxy.limits = { concurrent: 1 };
    let free = () => {};
    origin.next(async (exchange) => {
      await new Promise<void>((done) => (free = done));
      await exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    const [one, two] = [await open(), await open()];
    one.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    await origin.request();
    two.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    const answer = await two.whole();
    expect(answer.head.start).toBe("HTTP/1.1 429 Too Many Requests (concurrency_limited)");
    expect(answer.field("retry-after")).toBe("1");
    free();
    expect((await one.whole()).text).toBe("ok");
    await eventually(() => proxy.node.relay.limits.slots === 0, "the slot is free");
    two.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
    expect((await two.whole()).text).toBe("ok");
    await origin.request();
  });

  test("are charged with the bytes of both bodies", async () => {
    proxy.limits = { bytes: 1_000 };
    const as = basic("charged:secret");
    const user = await open();
    origin.next(async (exchange) => {
      await exchange.ended;
      await exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", "d".repeat(900));
    });
    user.ask(`POST ${url}/`, [`Host: ${host}`, as, "Content-Length: 900"], "u".repeat(900));
    expect((await user.whole()).body.bytes).toBe(900);
    await origin.request();
    // 800 beyond what a second gives: the next body has to rest for it.
    const started = performance.now();
    user.ask(`POST ${url}/`, [`Host: ${host}`, as, "Content-Length: 10"], "u".repeat(10));
    expect((await user.whole()).text).toBe("ok");
    expect(performance.now() - started).toBeGreaterThan(500);
    await origin.request();
  });
});

test("a user that goes away while its edge is asked takes no slot", async () => {
  let answerEdge = () => {};
  proxy.judge = () => new Promise<void>((done) => (answerEdge = done));
  const gone = () => lines().filter(({ reason, client }) => reason === "answer_cut" && client === undefined);
  const { connections } = origin;
  const user = await open();
  const asked = proxy.asked.length;
  user.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS]);
  await eventually(() => proxy.asked.length > asked, "the edge is asked");
  user.close();
  await eventually(() => gone().length > 0, "its line is written");
  answerEdge();
  await new Promise((done) => setTimeout(done, 50));
  expect([proxy.node.relay.limits.slots, origin.connections]).toEqual([0, connections]);
  expect(gone().at(-1)).toMatchObject({ level: 20, reason: "answer_cut", reached: "no" });
});

test("the log has one line a request, with neither path, query nor credentials", async () => {
  const before = lines().length;
  const user = await open();
  user.ask(
    `POST ${url}/secret-path?secret-query`,
    [`Host: ${host}`, CREDENTIALS, "Content-Length: 3"],
    "abc",
  );
  const answer = await user.whole();
  await origin.request();
  await eventually(() => lines().length > before, "its line is written");
  const line = lines().at(-1)!;
  expect(line).toMatchObject({
    level: 30,
    door: "proxy",
    jti: answer.field("relay-request-id"),
    client: "app",
    target: host,
    method: "POST",
    decision: "relayed",
    status: 200,
    egress: "127.0.0.2",
    bytes_up: 3,
    bytes_down: 2,
  });
  expect(JSON.stringify(proxy.node.log())).not.toMatch(/secret/);
});

describe("requests that wait for the answer before", () => {
  const padded = [`X-Pad: ${"x".repeat(20_000)}`];

  test("are as many as there is room for their heads", async () => {
    const user = await open();
    for (let asked = 0; asked < 6; asked++) {
      user.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS, ...padded]);
    }
    for (let answered = 0; answered < 6; answered++) {
      await origin.request();
      expect((await user.whole()).status).toBe(200);
    }
  });

  test.each([
    ["their heads are too long together", 8, padded],
    ["they are too many", 34, []],
  ])("end their connection where %s", async (_what, count, fields) => {
    origin.next(() => {});
    const user = await open();
    for (let asked = 0; asked < count; asked++) {
      user.ask(`GET ${url}/`, [`Host: ${host}`, CREDENTIALS, ...fields]);
      // The first is being answered for all the time, on whatever connection it goes.
      if (asked === 0) await origin.request();
    }
    await user.closed;
    await expect.poll(() => proxy.node.relay.limits.slots).toBe(0);
  });
});
