import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SocksClient } from "socks";
import { ProxyAgent, request } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Credentials, proxyCredentials } from "../../cli/agent/proxy/credentials.ts";
import { openDirect } from "../../cli/agent/proxy/direct.ts";
import { startHttpProxy } from "../../cli/agent/proxy/http-proxy.ts";
import type { LocalProxy } from "../../cli/agent/proxy/local-proxy.ts";
import { createRouter } from "../../cli/agent/proxy/router.ts";
import { startSocksProxy } from "../../cli/agent/proxy/socks-proxy.ts";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { RelayError } from "../../protocol/errors.ts";
import { type FakeOpener, fakeOpener } from "../support/fake-opener.ts";
import { openRaw, parseAnswers, rawRequest, readRaw, sendRaw } from "../support/raw-http.ts";
import { run } from "../support/run.ts";

/** A host of the relay's alone: no resolver knows it. */
const HOST = "api.relay.test";

let plain: HttpServer;
let tls: HttpServer;
let echo: Server;
let dir: string;
let relay: FakeOpener;
let http: LocalProxy;
let socks: LocalProxy;
let credentials: Credentials;
let proxyUrl: string;
let socksUrl: string;
const seen: { method: string; url: string; rawHeaders: string[]; body: string }[] = [];

const portOf = (server: Server) => (server.address() as AddressInfo).port;
const started = (server: Server) => new Promise<void>((done) => server.listen(0, "127.0.0.1", done));

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-proxy-"));
  const ca = await createCa("Proxy test CA");
  writeFileSync(join(dir, "ca.pem"), ca.cert);
  const certificate = await issueCertificate(ca, { dns: [HOST], ip: [] });
  const answer: RequestListener = (incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const { method = "", url = "", rawHeaders } = incoming;
      seen.push({ method, url, rawHeaders, body: Buffer.concat(chunks).toString() });
      if (url === "/cut") {
        response.writeHead(200, { "Content-Length": 10 });
        response.write("half!", () => response.destroy());
        return;
      }
      if (url === "/cut-chunked") {
        response.write("half!", () => response.destroy());
        return;
      }
      response.writeHead(
        200,
        [
          ["X-Twice", "1"],
          ["x-twice", "2"],
          ["Proxy-Authenticate", "x"],
        ].flat(),
      );
      response.end(`${method} ${url}`);
    });
  };
  plain = createHttpServer(answer);
  tls = createTlsServer({ cert: certificate.cert, key: certificate.key }, answer);
  echo = createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => {}).pipe(socket));
  await Promise.all([plain, tls, echo].map(started));
  relay = fakeOpener({
    [`${HOST}:80`]: portOf(plain),
    [`${HOST}:443`]: portOf(tls),
    "db.relay.test:5432": portOf(echo),
    "2001:db8::5:7": portOf(echo),
    "192.0.2.7:7": portOf(echo),
  });
  credentials = proxyCredentials();
  const open = createRouter({
    relay: relay.open,
    direct: openDirect,
    hosts: ["*.relay.test"],
    destinations: [
      { host: "2001:db8::5", port: 7 },
      { host: "192.0.2.7", port: 7 },
    ],
  });
  [http, socks] = await Promise.all([
    startHttpProxy({ open, credentials }),
    startSocksProxy({ open, credentials }),
  ]);
  proxyUrl = `http://${credentials.user}:${credentials.password}@127.0.0.1:${http.port}`;
  socksUrl = `socks5h://${credentials.user}:${credentials.password}@127.0.0.1:${socks.port}`;
});
afterAll(async () => {
  await Promise.all([http.close(), socks.close()]);
  for (const server of [plain, tls]) server.closeAllConnections();
  await Promise.all([plain, tls, echo].map((server) => new Promise((done) => server.close(done))));
  rmSync(dir, { recursive: true });
});
afterEach(() => {
  relay.asked.length = 0;
  relay.failWith(undefined);
  seen.length = 0;
});

function basic(): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64")}`;
}

const ask = (bytes: string) => sendRaw({ port: http.port }, bytes);

describe("programs", () => {
  const env = () => ({
    http_proxy: proxyUrl,
    https_proxy: proxyUrl,
    HTTPS_PROXY: proxyUrl,
    HTTP_PROXY: proxyUrl,
    NO_PROXY: "",
    no_proxy: "",
    NODE_USE_ENV_PROXY: "1",
    NODE_EXTRA_CA_CERTS: join(dir, "ca.pem"),
    SSL_CERT_FILE: join(dir, "ca.pem"),
  });
  const fetchAll = (scheme: string) =>
    `const r = await fetch("${scheme}://${HOST}/node?a=1"); console.log(r.status, await r.text())`;
  const urllib = (scheme: string) =>
    `import urllib.request as u; r = u.urlopen("${scheme}://${HOST}/node?a=1"); print(r.status, r.read().decode())`;

  test.each([
    ["curl, plain", "curl", ["-sS", `http://${HOST}/node?a=1`, "-w", "%{http_code}"], "GET /node?a=1200", 80],
    ["curl, TLS", "curl", ["-sS", `https://${HOST}/node?a=1`, "-w", "%{http_code}"], "GET /node?a=1200", 443],
    [
      "node, plain",
      process.execPath,
      ["--input-type=module", "-e", fetchAll("http")],
      "200 GET /node?a=1\n",
      80,
    ],
    [
      "node, TLS",
      process.execPath,
      ["--input-type=module", "-e", fetchAll("https")],
      "200 GET /node?a=1\n",
      443,
    ],
    ["Python's urllib, plain", "python3", ["-c", urllib("http")], "200 GET /node?a=1\n", 80],
    ["Python's urllib, TLS", "python3", ["-c", urllib("https")], "200 GET /node?a=1\n", 443],
  ])("%s, by the variables", async (_, file, args, stdout, port) => {
    const extra = file === "curl" ? ["--cacert", join(dir, "ca.pem")] : [];
    const ran = await run(file, [...args, ...extra], { env: env() });
    expect(ran).toMatchObject({ code: 0, stdout, stderr: "" });
    expect(relay.asked).toEqual([`${HOST}:${port}`]);
    expect(JSON.stringify(seen)).not.toMatch(/proxy/i);
  });

  test.each([
    ["curl by CONNECT for plain HTTP", ["-p", "-x", () => proxyUrl, `http://${HOST}/x`]],
    ["curl by SOCKS, the name resolved here", ["-x", () => socksUrl, `http://${HOST}/x`]],
    ["curl by SOCKS with TLS", ["-x", () => socksUrl, `https://${HOST}/x`]],
  ] as [string, (string | (() => string))[]][])("%s", async (_, args) => {
    const given = args.map((arg) => (typeof arg === "string" ? arg : arg()));
    const ran = await run("curl", ["-sS", "--cacert", join(dir, "ca.pem"), ...given]);
    expect(ran).toMatchObject({ code: 0, stdout: "GET /x", stderr: "" });
  });

  test("curl with a wrong password", async () => {
    const wrong = proxyUrl.replace(credentials.password, "wrong");
    const one = await run("curl", ["-sS", "-x", wrong, `http://${HOST}/x`, "-w", "%{http_code}"]);
    expect(one.stdout).toContain("407");
    const other = await run("curl", [
      "-sS",
      "-x",
      socksUrl.replace(credentials.password, "no"),
      `http://${HOST}/`,
    ]);
    expect(other.code).toBe(97);
    expect(relay.asked).toEqual([]);
  });

  test("undici's ProxyAgent", async () => {
    const agent = new ProxyAgent({
      uri: `http://127.0.0.1:${http.port}`,
      token: basic().slice("Proxy-Authorization: ".length),
      requestTls: { ca: readFileSync(join(dir, "ca.pem"), "utf8") },
    });
    for (const path of ["/1", "/2"]) {
      const { body } = await request(`https://${HOST}${path}`, { dispatcher: agent });
      expect(await body.text()).toBe(`GET ${path}`);
    }
    expect(new Set(relay.asked)).toEqual(new Set([`${HOST}:443`]));
    await agent.close();
  });

  test.each([
    ["a name", "db.relay.test", 5432, "db.relay.test:5432"],
    ["an IPv4 address", "192.0.2.7", 7, "192.0.2.7:7"],
    ["an IPv6 address", "2001:db8:0:0::5", 7, "2001:db8::5:7"],
  ])("a SOCKS library by %s, with half-close", async (_, host, port, asked) => {
    const { socket } = await SocksClient.createConnection({
      proxy: {
        host: "127.0.0.1",
        port: socks.port,
        type: 5,
        userId: credentials.user,
        password: credentials.password,
      },
      command: "connect",
      destination: { host, port },
    });
    socket.end("to the end");
    expect(await readRaw(socket)).toBe("to the end");
    expect(relay.asked).toEqual([asked]);
  });

  test("what is not named goes direct", async () => {
    const direct = `http://127.0.0.1:${portOf(plain)}/direct`;
    expect(await run("curl", ["-sS", "--noproxy", "", "-x", proxyUrl, direct])).toMatchObject({
      code: 0,
      stdout: "GET /direct",
    });
    expect(await run("curl", ["-sS", "--noproxy", "", "-x", socksUrl, direct])).toMatchObject({
      code: 0,
      stdout: "GET /direct",
    });
    expect(relay.asked).toEqual([]);
  });
});

describe("the HTTP proxy", () => {
  test.each([
    ["no password", []],
    ["another scheme", ["Proxy-Authorization: Bearer abc"]],
    ["a wrong password", [`Proxy-Authorization: Basic ${Buffer.from("holdfast:wrong").toString("base64")}`]],
    ["the target's own field", [`Authorization: Basic ${Buffer.from("holdfast:x").toString("base64")}`]],
  ])("takes nobody with %s", async (_, fields) => {
    for (const line of [`GET http://${HOST}/`, `CONNECT ${HOST}:443`]) {
      const answered = await ask(rawRequest(line, [`Host: ${HOST}`, ...fields]));
      expect([answered?.status, answered?.field("proxy-authenticate")]).toEqual([
        407,
        'Basic realm="holdfast"',
      ]);
      expect(answered?.body).toMatch(/^holdfast: .*password.*\n$/);
    }
    expect(relay.asked).toEqual([]);
  });

  test.each<[string, () => string]>([
    ["no port", () => rawRequest(`CONNECT ${HOST}`, [`Host: ${HOST}`, basic()])],
    ["user info", () => rawRequest(`CONNECT u:p@${HOST}:443`, [`Host: ${HOST}`, basic()])],
    ["user info in a URL", () => rawRequest(`GET http://u@${HOST}/`, [`Host: ${HOST}`, basic()])],
    ["an address in disguise", () => rawRequest("CONNECT 0x7f.1:443", [`Host: ${HOST}`, basic()])],
    ["origin form", () => rawRequest("GET /", [`Host: ${HOST}`, basic()])],
    ["TLS to be ended here", () => rawRequest(`GET https://${HOST}/`, [`Host: ${HOST}`, basic()])],
    ["two hosts", () => rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}`, `Host: ${HOST}`, basic()])],
    ["two hosts for CONNECT", () => rawRequest(`CONNECT ${HOST}:443`, ["Host: a", "Host: b", basic()])],
    [
      "a length and a coding",
      () =>
        rawRequest(
          `POST http://${HOST}/`,
          [`Host: ${HOST}`, "Content-Length: 5", "Transfer-Encoding: chunked", basic()],
          "0\r\n\r\n",
        ),
    ],
    [
      "a strange coding",
      () =>
        rawRequest(
          `POST http://${HOST}/`,
          [`Host: ${HOST}`, "Transfer-Encoding: gzip, chunked", basic()],
          "0\r\n\r\n",
        ),
    ],
    [
      "bare line feeds",
      () => rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}`, basic()]).replaceAll("\r\n", "\n"),
    ],
    ["one bare line feed", () => rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}\nX-A: b`, basic()])],
    ["a folded line", () => rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}`, "X-A: b\r\n c", basic()])],
    ["no host", () => rawRequest(`GET http://${HOST}/`, [basic()])],
    ["noise", () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
  ])("refuses %s, and dials nothing", async (_, bytes) => {
    const answered = await ask(bytes());
    expect(answered?.status).toBe(400);
    expect([relay.asked, seen]).toEqual([[], []]);
  });

  test("judges each request of a connection anew", async () => {
    const socket = await openRaw({ port: http.port });
    const reading = readRaw(socket);
    const to = (url: string, ...more: string[]) => rawRequest(`GET ${url}`, [`Host: ${HOST}`, ...more]);
    socket.write(
      to(`http://${HOST}/1`, basic()) +
        to(`http://${HOST}/2`, basic()) +
        to("http://denied.relay.test/", basic(), "Connection: close"),
    );
    const answers = parseAnswers(await reading);
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [200, "GET /1"],
      [200, "GET /2"],
      [403, "holdfast: target_not_allowed: tcp://denied.relay.test:80 is not allowed\n"],
    ]);
    const without = await ask(to(`http://${HOST}/3`));
    expect(without?.status).toBe(407);
    expect(seen.map(({ url }) => url)).toEqual(["/1", "/2"]);
    expect(seen[0]!.rawHeaders).toEqual(["Host", HOST, "Connection", "close"]);
  });

  test("sends bodies on as they are framed, and repeats of fields", async () => {
    const post = (fields: string[], body: string) =>
      ask(
        rawRequest(`POST http://${HOST}/b`, [`Host: ${HOST}`, basic(), "Connection: close", ...fields], body),
      );
    const one = await post(["Content-Length: 5"], "hello");
    expect(one?.fields.filter(([name]) => /twice|proxy/i.test(name))).toEqual([
      ["X-Twice", "1"],
      ["x-twice", "2"],
    ]);
    await post(["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n");
    await post(["Content-Length: 5", "Expect: 100-continue"], "hello");
    expect(seen.map(({ body }) => body)).toEqual(["hello", "hello", "hello"]);
    expect(seen[0]!.rawHeaders).toContain("Content-Length");
    expect(seen[1]!.rawHeaders).toContain("Transfer-Encoding");
  });

  test.each(["/cut", "/cut-chunked"])("passes %s on as a cut", async (path) => {
    const ran = await run("curl", ["-sS", "-x", proxyUrl, `http://${HOST}${path}`]);
    expect(ran.code).not.toBe(0);
    expect(ran.stdout).toBe("half!");
  });

  test("keeps what came right behind a CONNECT", async () => {
    const socket = await openRaw({ port: http.port });
    socket.write(`${rawRequest("CONNECT db.relay.test:5432", ["Host: db.relay.test:5432", basic()])}early`);
    socket.end(" late");
    expect(await readRaw(socket)).toBe("HTTP/1.1 200 Connection established\r\n\r\nearly late");
  });

  test.each([
    ["connect_timeout", 504, "connection_timeout"],
    ["connect_refused", 502, "connection_refused"],
    ["client_unknown", 502, "http_request_denied"],
  ] as const)("tells %s before it says 200", async (code, status, proxy) => {
    relay.failWith(new RelayError(code, "no luck"));
    for (const line of [`GET http://${HOST}/`, `CONNECT ${HOST}:443`]) {
      const answered = await ask(rawRequest(line, [`Host: ${HOST}`, basic(), "Connection: close"]));
      expect(answered?.status).toBe(status);
      expect(answered?.field("relay-error")).toBe(code);
      expect(answered?.field("proxy-status")).toBe(`holdfast; error=${proxy}`);
      expect(answered?.body).toBe(`holdfast: ${code}: no luck\n`);
    }
  });

  test("tells a failure of the direct way", async () => {
    const gone = createServer();
    await started(gone);
    const port = portOf(gone);
    await new Promise((done) => gone.close(done));
    const answered = await ask(rawRequest(`CONNECT 127.0.0.1:${port}`, ["Host: a", basic()]));
    expect([answered?.status, answered?.field("relay-error")]).toEqual([502, "connect_refused"]);
  });

  test("refuses a head that is too long", async () => {
    const answered = await ask(
      rawRequest(`GET http://${HOST}/`, [`Host: ${HOST}`, `X: ${"a".repeat(70_000)}`]),
    );
    expect(answered?.status).toBe(431);
  });

  test("breaks the target's connection when the program's breaks", async () => {
    const accepted = once(echo, "connection") as Promise<[Socket]>;
    const socket = await openRaw({ port: http.port });
    socket.write(rawRequest("CONNECT db.relay.test:5432", ["Host: a", basic()]));
    await once(socket, "data");
    const [target] = await accepted;
    const failed = new Promise<NodeJS.ErrnoException>((done) => target.once("error", done));
    socket.resetAndDestroy();
    expect((await failed).code).toBe("ECONNRESET");
  });
});

describe("the SOCKS proxy", () => {
  async function say(...messages: number[][]): Promise<number[]> {
    const socket = await openRaw({ port: socks.port });
    const reading = readRaw(socket);
    // Byte by byte, as a network may deliver it.
    for (const byte of messages.flat()) socket.write(Buffer.from([byte]));
    socket.end();
    return [...Buffer.from(await reading, "latin1")];
  }
  const login = () => [
    1,
    credentials.user.length,
    ...Buffer.from(credentials.user),
    credentials.password.length,
    ...Buffer.from(credentials.password),
  ];
  const name = (host: string, port: number) => [
    5,
    1,
    0,
    3,
    host.length,
    ...Buffer.from(host),
    port >> 8,
    port & 255,
  ];

  test("carries what came right behind the request", async () => {
    const got = await say([5, 2, 0, 2], login(), name("db.relay.test", 5432), [...Buffer.from("early")]);
    expect(got).toEqual([5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...Buffer.from("early")]);
  });

  test("takes nobody without the password", async () => {
    expect(await say([5, 1, 0])).toEqual([5, 0xff]);
    expect(await say([5, 1, 2], [1, 1, 97, 1, 98])).toEqual([5, 2, 1, 1]);
    expect(await say([4, 1, 0, 80, 192, 0, 2, 1, 0])).toEqual([]);
    expect(relay.asked).toEqual([]);
  });

  test.each<[string, number[], number]>([
    ["BIND", [5, 2, 0, 1, 192, 0, 2, 1, 0, 80], 7],
    ["UDP", [5, 3, 0, 1, 192, 0, 2, 1, 0, 80], 7],
    ["an unknown kind of address", [5, 1, 0, 9, 1], 8],
    ["a name that is none", name("a b", 80), 1],
    ["port 0", name("db.relay.test", 0), 1],
    ["a target that is not allowed", name("denied.relay.test", 80), 2],
  ])("answers %s", async (_, message, reply) => {
    expect(await say([5, 1, 2], login(), message)).toEqual([5, 2, 1, 0, 5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
  });

  test.each([
    ["connect_refused", 5],
    ["dns_failed", 4],
    ["connect_timeout", 6],
    ["edge_unreachable", 1],
  ] as const)("tells %s", async (code, reply) => {
    relay.failWith(new RelayError(code, "no luck"));
    expect((await say([5, 1, 2], login(), name(HOST, 80))).slice(4, 6)).toEqual([5, reply]);
  });
});
