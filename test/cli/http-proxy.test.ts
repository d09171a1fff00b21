import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { HOST, type ProxyBench, startProxyBench } from "../support/proxy-bench.ts";
import { openRaw, parseAnswers, rawRequest, readRaw } from "../support/raw-http.ts";
import { run } from "../support/run.ts";
import { startTcpTarget } from "../support/tcp-target.ts";

let bench: ProxyBench;

beforeAll(async () => {
  bench = await startProxyBench();
});
afterAll(() => bench.close());
afterEach(() => bench.reset());

describe("the HTTP proxy", () => {
  test.each([
    ["no password", []],
    ["another scheme", ["Proxy-Authorization: Bearer abc"]],
    ["a wrong password", [`Proxy-Authorization: Basic ${Buffer.from("holdfast:wrong").toString("base64")}`]],
    ["the target's own field", [`Authorization: Basic ${Buffer.from("holdfast:x").toString("base64")}`]],
  ])("takes nobody with %s", async (_, fields) => {
    for (const line of [`GET http://${HOST}/`, `CONNECT ${HOST}:443`]) {
      const answered = await bench.ask(rawRequest(line, [`Host: ${HOST}`, ...fields]));
      expect([answered?.status, answered?.field("proxy-authenticate")]).toEqual([
        407,
        'Basic realm="holdfast"',
      ]);
      expect(answered?.body).toMatch(/^holdfast: .*password.*\n$/);
    }
    expect(bench.relay.asked).toEqual([]);
  });

  test.each<[string, () => string]>([
    ["no port", () => rawRequest(`CONNECT ${HOST}`, [`Host: ${HOST}`, bench.basic])],
    ["user info", () => rawRequest(`CONNECT u:p@${HOST}:443`, [`Host: ${HOST}`, bench.basic])],
    ["user info in a URL", () => rawRequest(`GET http://u@${HOST}/`, [`Host: ${HOST}`, bench.basic])],
    ["an address in disguise", () => rawRequest("CONNECT 0x7f.1:443", [`Host: ${HOST}`, bench.basic])],
    ["origin form", () => rawRequest("GET /", [`Host: ${HOST}`, bench.basic])],
    ["TLS to be ended here", () => rawRequest(`GET https://${HOST}/`, [`Host: ${HOST}`, bench.basic])],
    ["two hosts", () => rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}`, `Host: ${HOST}`, bench.basic])],
    ["two hosts for CONNECT", () => rawRequest(`CONNECT ${HOST}:443`, ["Host: a", "Host: b", bench.basic])],
    [
      "a length and a coding",
      () =>
        rawRequest(
          `POST http://${HOST}/`,
          [`Host: ${HOST}`, "Content-Length: 5", "Transfer-Encoding: chunked", bench.basic],
          "0\r\n\r\n",
        ),
    ],
    [
      "a strange coding",
      () =>
        rawRequest(
          `POST http://${HOST}/`,
          [`Host: ${HOST}`, "Transfer-Encoding: gzip, chunked", bench.basic],
          "0\r\n\r\n",
        ),
    ],
    [
      "bare line feeds",
      () => rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}`, bench.basic]).replaceAll("\r\n", "\n"),
    ],
    ["one bare line feed", () => rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}\nX-A: b`, bench.basic])],
    [
      "a folded line",
      () => rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}`, "X-A: b\r\n c", bench.basic]),
    ],
    ["no host", () => rawRequest(`GET http://${HOST}/`, [bench.basic])],
    ["noise", () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
  ])("refuses %s, and dials nothing", async (_, bytes) => {
    const answered = await bench.ask(bytes());
    expect(answered?.status).toBe(400);
    expect([bench.relay.asked, bench.seen]).toEqual([[], []]);
  });

  test("judges each request of a connection anew", async () => {
    const socket = await openRaw({ port: bench.ports.http });
    const reading = readRaw(socket);
    const to = (url: string, ...more: string[]) => rawRequest(`GET ${url}`, [`Host: ${HOST}`, ...more]);
    socket.write(
      to(`http://${HOST}/1`, bench.basic) +
        to(`http://${HOST}/2`, bench.basic) +
        to("http://denied.relay.test/", bench.basic, "Connection: close"),
    );
    const answers = parseAnswers(await reading);
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [200, "GET /1"],
      [200, "GET /2"],
      [403, "holdfast: target_not_allowed: tcp://denied.relay.test:80 is not allowed\n"],
    ]);
    const without = await bench.ask(to(`http://${HOST}/3`));
    expect(without?.status).toBe(407);
    expect(bench.seen.map(({ url }) => url)).toEqual(["/1", "/2"]);
    expect(bench.seen[0]!.rawHeaders).toEqual(["Host", HOST, "Connection", "close"]);
  });

  test("sends bodies on as they are framed, and repeats of fields", async () => {
    const post = (fields: string[], body: string) =>
      bench.ask(
        rawRequest(
          `POST http://${HOST}/b`,
          [`Host: ${HOST}`, bench.basic, "Connection: close", ...fields],
          body,
        ),
      );
    const one = await post(["Content-Length: 5"], "hello");
    expect(one?.fields.filter(([name]) => /twice|proxy/i.test(name))).toEqual([
      ["X-Twice", "1"],
      ["x-twice", "2"],
    ]);
    await post(["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n");
    await post(["Content-Length: 5", "Expect: 100-continue"], "hello");
    expect(bench.seen.map(({ body }) => body)).toEqual(["hello", "hello", "hello"]);
    expect(bench.seen[0]!.rawHeaders).toContain("Content-Length");
    expect(bench.seen[1]!.rawHeaders).toContain("Transfer-Encoding");
  });

  test.each(["/cut", "/cut-chunked"])("passes %s on as a cut", async (path) => {
    const ran = await run("curl", ["-sS", "-x", bench.urls.http, `http://${HOST}${path}`]);
    expect(ran.code).not.toBe(0);
    expect(ran.stdout).toBe("half!");
  });

  test.each([
    ["answers with noise", "noise\r\n\r\n", "target_protocol"],
    ["answers with a head that is none", "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", "target_protocol"],
    ["closes without an answer", "", "target_closed"],
  ])("tells of a target that %s", async (_, answer, code) => {
    const target = await startTcpTarget((socket) => {
      socket.once("data", () => socket.end(answer));
    });
    const fields = ["Host: a", bench.basic, "Connection: close"];
    const answered = await bench.ask(rawRequest(`GET http://127.0.0.1:${target.port}/`, fields));
    await target.close();
    expect([answered?.status, answered?.field("relay-error")]).toEqual([502, code]);
  });

  test("passes on an answer that comes before the request's end, and a target that then closes", async () => {
    const target = await startTcpTarget((socket) => {
      socket.once("data", () => socket.end("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"));
    });
    const fields = ["Host: a", bench.basic, "Content-Length: 1000000"];
    const socket = await openRaw({ port: bench.ports.http });
    const reading = readRaw(socket, 5_000, 500);
    socket.write(rawRequest(`POST http://127.0.0.1:${target.port}/`, fields, "begun"));
    expect(parseAnswers(await reading).map(({ status, body }) => [status, body])).toEqual([[413, "no"]]);
    await target.close();
  });

  test("gives a target up whose program is gone", async () => {
    const gone = Promise.withResolvers<string>();
    const target = await startTcpTarget((socket) => {
      socket.once("close", () => gone.resolve("closed"));
      socket.resume();
    });
    const socket = await openRaw({ port: bench.ports.http });
    socket.write(rawRequest(`GET http://127.0.0.1:${target.port}/`, ["Host: a", bench.basic]));
    await expect.poll(() => target.sockets.length, { timeout: 10_000 }).toBe(1);
    socket.destroy();
    expect(await gone.promise).toBe("closed");
    await target.close();
  });

  test("keeps what came right behind a CONNECT", async () => {
    const socket = await openRaw({ port: bench.ports.http });
    socket.write(
      `${rawRequest("CONNECT db.relay.test:5432", ["Host: db.relay.test:5432", bench.basic])}early`,
    );
    socket.end(" late");
    expect(await readRaw(socket)).toBe("HTTP/1.1 200 Connection established\r\n\r\nearly late");
  });

  test.each([
    ["connect_timeout", 504, "connection_timeout"],
    ["connect_refused", 502, "connection_refused"],
    ["client_unknown", 502, "http_request_denied"],
  ] as const)("tells %s before it says 200", async (code, status, proxy) => {
    bench.relay.failWith(new RelayError(code, "no luck"));
    for (const line of [`GET http://${HOST}/`, `CONNECT ${HOST}:443`]) {
      const answered = await bench.ask(rawRequest(line, [`Host: ${HOST}`, bench.basic, "Connection: close"]));
      expect(answered?.status).toBe(status);
      expect(answered?.field("relay-error")).toBe(code);
      expect(answered?.field("proxy-status")).toBe(`holdfast; error=${proxy}`);
      expect(answered?.body).toBe(`holdfast: ${code}: no luck\n`);
    }
  });

  test("tells a failure of the direct way", async () => {
    const gone = createServer();
    await new Promise<void>((done) => gone.listen(0, "127.0.0.1", done));
    const { port } = gone.address() as AddressInfo;
    await new Promise((done) => gone.close(done));
    const answered = await bench.ask(rawRequest(`CONNECT 127.0.0.1:${port}`, ["Host: a", bench.basic]));
    expect([answered?.status, answered?.field("relay-error")]).toEqual([502, "connect_refused"]);
  });

  test("refuses a head that is too long", async () => {
    const answered = await bench.ask(
      rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}`, `X: ${"a".repeat(70_000)}`]),
    );
    expect(answered?.status).toBe(431);
  });

  test("breaks the target's connection when the program's breaks", async () => {
    const accepted = once(bench.echo, "connection") as Promise<[Socket]>;
    const socket = await openRaw({ port: bench.ports.http });
    socket.write(rawRequest("CONNECT db.relay.test:5432", ["Host: a", bench.basic]));
    await once(socket, "data");
    const [target] = await accepted;
    const failed = new Promise<NodeJS.ErrnoException>((done) => target.once("error", done));
    socket.resetAndDestroy();
    expect((await failed).code).toBe("ECONNRESET");
  });
});
