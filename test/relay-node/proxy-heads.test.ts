import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isErrorCode, RelayError } from "../../protocol/errors.ts";
import {
  answersTo,
  connectRequest,
  handleOf,
  LOGIN,
  type ProxyNode,
  startProxyNode,
} from "../support/proxy-node.ts";
import { rawRequest } from "../support/raw-http.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** What the proxy door refuses before anybody is asked or dialled: whatever two parsers could read in two ways. */

let node: ProxyNode;
let target: TcpTarget;
let authority: string;
beforeAll(async () => {
  node = await startProxyNode();
  target = await startTcpTarget((socket) => void socket.pipe(socket));
  authority = `127.0.0.1:${target.port}`;
});
afterAll(async () => {
  await node.stop();
  await target.close();
});

/** A CONNECT of these lines, in which A stands for the target. */
const connect = (line: string, fields: readonly string[] = ["Host: A"]) =>
  `${line}\r\n${[...fields, LOGIN, "", ""].join("\r\n")}`
    .replaceAll("A:", `${authority}:`)
    .replaceAll(/\bA\b/g, authority);

const get = (fields: readonly string[], body = "", line = "GET http://A/ HTTP/1.1") =>
  connect(line, fields) + body;

const LINES: Readonly<Record<string, string>> = {
  "user info": "CONNECT u:p@A HTTP/1.1",
  "an at sign alone": "CONNECT @A HTTP/1.1",
  "a path": "CONNECT A/ HTTP/1.1",
  "a query": "CONNECT A?x HTTP/1.1",
  "a fragment": "CONNECT A#x HTTP/1.1",
  "a scheme": "CONNECT http://A HTTP/1.1",
  "a backslash": "CONNECT A\\x HTTP/1.1",
  "no port": "CONNECT 127.0.0.1 HTTP/1.1",
  "an empty port": "CONNECT 127.0.0.1: HTTP/1.1",
  "port 0": "CONNECT 127.0.0.1:0 HTTP/1.1",
  "port 65536": "CONNECT 127.0.0.1:65536 HTTP/1.1",
  "a port with a zero in front": "CONNECT 127.0.0.1:0443 HTTP/1.1",
  "a port with a sign": "CONNECT 127.0.0.1:+443 HTTP/1.1",
  "a port in hex": "CONNECT 127.0.0.1:0x1bb HTTP/1.1",
  "two ports": "CONNECT 127.0.0.1:1:2 HTTP/1.1",
  "an octal address": "CONNECT 0177.0.0.1:443 HTTP/1.1",
  "an address in hex": "CONNECT 0x7f.0.0.1:443 HTTP/1.1",
  "a short address": "CONNECT 127.1:443 HTTP/1.1",
  "an address as one number": "CONNECT 2130706433:443 HTTP/1.1",
  "an address with five parts": "CONNECT 127.0.0.0.1:443 HTTP/1.1",
  "a zone": "CONNECT [fe80::1%25eth0]:443 HTTP/1.1",
  "an address that is not canonical": "CONNECT [0:0:0:0:0:0:0:1]:443 HTTP/1.1",
  "an address without brackets": "CONNECT ::1:443 HTTP/1.1",
  "a trailing dot": "CONNECT localhost.:443 HTTP/1.1",
  "an empty label": "CONNECT a..b:443 HTTP/1.1",
  "an empty host": "CONNECT :443 HTTP/1.1",
  "a percent sign": "CONNECT loc%61lhost:443 HTTP/1.1",
  "a character beyond ASCII": "CONNECT loc\xe4lhost:443 HTTP/1.1",
  "NUL in its target": "CONNECT local\0host:443 HTTP/1.1",
  "DEL in its target": "CONNECT local\x7fhost:443 HTTP/1.1",
  "an asterisk": "CONNECT * HTTP/1.1",
  "no target": "CONNECT  HTTP/1.1",
  "two spaces before the target": "CONNECT  A HTTP/1.1",
  "two spaces behind the target": "CONNECT A  HTTP/1.1",
  "a space behind the version": "CONNECT A HTTP/1.1 ",
  "a space in front": " CONNECT A HTTP/1.1",
  "a tab": "CONNECT\tA HTTP/1.1",
  "a line feed in front": "\nCONNECT A HTTP/1.1",
  "a carriage return in front": "\rCONNECT A HTTP/1.1",
  "two empty lines in front": "\r\n\r\nCONNECT A HTTP/1.1",
  "no version": "CONNECT A",
  "version 0.9": "CONNECT A HTTP/0.9",
  "version 1.2": "CONNECT A HTTP/1.2",
  "version 2": "CONNECT A HTTP/2.0",
  "the protocol RTSP": "CONNECT A RTSP/1.0",
  "a method in lower case": "connect A HTTP/1.1",
};

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  "two Host fields": ["Host: A", "Host: A"],
  "two Host fields in one": ["Host: A, A"],
  "another Host": ["Host: elsewhere.test:443"],
  "a Host with another port": ["Host: 127.0.0.1:1"],
  "a Host without its port": ["Host: 127.0.0.1"],
  "an empty Host": ["Host:"],
  "a length": ["Host: A", "Content-Length: 5"],
  "a coding": ["Host: A", "Transfer-Encoding: chunked"],
  "two credentials": ["Host: A", LOGIN],
  "a folded line": ["Host: A", "X: a\r\n b"],
  "a folded line with a tab": ["Host: A", "X: a\r\n\tb"],
  "a folded first line": [" Host: A"],
  "a space before a colon": ["Host : A"],
  "a space in a name": ["Host: A", "X Y: a"],
  "a line without a colon": ["Host: A", "X"],
  "a line without a name": ["Host: A", ": x"],
  "a bare line feed": ["Host: A\nX: y"],
  "a bare carriage return": ["Host: A\rX: y"],
  "two carriage returns": ["Host: A\r"],
  "NUL in a value": ["Host: A", "X: a\0b"],
  "a control in a value": ["Host: A", "X: a\x01b"],
  "a name beyond ASCII": ["Host: A", "X\xe4: a"],
};

const REQUESTS: Readonly<Record<string, readonly [fields: readonly string[], body?: string, line?: string]>> =
  {
    "two Host fields": [["Host: A", "Host: A"]],
    "another Host": [["Host: elsewhere.test"]],
    "no Host": [[]],
    "a length and a coding": [["Host: A", "Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n"],
    "a coding and a length": [["Host: A", "Transfer-Encoding: chunked", "Content-Length: 5"], "0\r\n\r\n"],
    "two lengths": [["Host: A", "Content-Length: 5", "Content-Length: 5"], "hello"],
    "a list of lengths": [["Host: A", "Content-Length: 5, 5"], "hello"],
    "a length with a sign": [["Host: A", "Content-Length: +5"], "hello"],
    "a length with a zero in front": [["Host: A", "Content-Length: 05"], "hello"],
    "a length beyond all": [["Host: A", "Content-Length: 18446744073709551615"], "hello"],
    "another coding": [["Host: A", "Transfer-Encoding: gzip, chunked"], "0\r\n\r\n"],
    "an unknown coding": [["Host: A", "Transfer-Encoding: xchunked"], "0\r\n\r\n"],
    "two codings": [["Host: A", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "0\r\n\r\n"],
    "a coding under HTTP/1.0": [
      ["Host: A", "Transfer-Encoding: chunked"],
      "0\r\n\r\n",
      "POST http://A/ HTTP/1.0",
    ],
    "another scheme": [["Host: A"], "", "GET ftp://A/ HTTP/1.1"],
    "TLS to be ended here": [["Host: A"], "", "GET https://A/ HTTP/1.1"],
    "user info": [["Host: A"], "", "GET http://u:p@A/ HTTP/1.1"],
    "a fragment": [["Host: A"], "", "GET http://A/#x HTTP/1.1"],
    "an asterisk": [["Host: A"], "", "OPTIONS * HTTP/1.1"],
    "no version": [["Host: A"], "", "GET http://A/"],
    "the protocol ICE": [["Host: A"], "", "SOURCE http://A/ ICE/1.0"],
  };

describe.each(["http", "https"] as const)("over %s, a CONNECT with", (way) => {
  const cases = [
    ...Object.entries(LINES).map(([what, line]): [string, () => string] => [what, () => connect(line)]),
    ...Object.entries(FIELDS).map(([what, fields]): [string, () => string] => [
      what,
      () => connect("CONNECT A HTTP/1.1", fields),
    ]),
  ];
  test.each(cases)("%s is refused with 400", async (_what, bytes) => {
    const before = [node.asked.length, target.sockets.length];
    const answer = await node.ask(bytes(), way);
    expect(answer?.status).toBe(400);
    expectTyped(answer!);
    expect([node.asked.length, target.sockets.length]).toEqual(before);
  });
});

describe("a request in the absolute form with", () => {
  test.each(Object.entries(REQUESTS))("%s is refused with 400", async (_what, [fields, body, line]) => {
    const before = [node.asked.length, target.sockets.length];
    const answer = await node.ask(get(fields, body, line));
    expect(answer?.status).toBe(400);
    expectTyped(answer!);
    expect([node.asked.length, target.sockets.length]).toEqual(before);
  });
});

function expectTyped(answer: NonNullable<Awaited<ReturnType<ProxyNode["ask"]>>>): void {
  const problem = JSON.parse(answer.body) as Record<string, unknown>;
  const code = answer.field("relay-error")!;
  expect(isErrorCode(code)).toBe(true);
  expect(problem).toMatchObject({ status: answer.status, code, reached: "no", node: "node-1" });
  expect(answer.field("relay-reached")).toBe("no");
  expect(answer.field("relay-node")).toBe("node-1");
  expect(answer.field("proxy-status")).toBe("holdfast; error=http_request_denied");
  expect(answer.field("content-type")).toBe("application/problem+json");
}

describe("what real clients send is taken:", () => {
  const TAKEN: Readonly<Record<string, () => string>> = {
    "a CONNECT": () => connect("CONNECT A HTTP/1.1"),
    "one without Host": () => connect("CONNECT A HTTP/1.1", []),
    "one of HTTP/1.0": () => connect("CONNECT A HTTP/1.0", []),
    "one with a Host in capitals": () => connect("CONNECT LOCALHOST:1 HTTP/1.1", ["Host: localhost:1"]),
    "one behind an empty line": () => connect("\r\nCONNECT A HTTP/1.1"),
    "one with Proxy-Connection": () =>
      connect("CONNECT A HTTP/1.1", ["Host: A", "Proxy-Connection: Keep-Alive"]),
    "one with bytes over 0x7F in a value": () => connect("CONNECT A HTTP/1.1", ["Host: A", "X: \xe4"]),
  };
  test.each(Object.entries(TAKEN))("%s", async (_what, bytes) => {
    const socket = await node.connect();
    socket.write(Buffer.from(bytes(), "latin1"));
    const [first] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    expect(first.toString()).toMatch(
      /^HTTP\/1\.1 (200 Connection established|502 Bad Gateway \(connect_refused\))/,
    );
  });

  test.each<[what: string, cut: number, pauseMs: number]>([
    ["in two pieces", 30, 20],
    ["behind a while of silence", 0, 1_300],
    ["byte by byte at first", 1, 5],
  ])("one that comes %s", async (_what, cut, pauseMs) => {
    const bytes = TAKEN["a CONNECT"]!();
    const socket = await node.connect();
    if (cut > 0) socket.write(bytes.slice(0, cut));
    await pause(pauseMs);
    socket.write(bytes.slice(cut));
    const [first] = (await once(socket, "data")) as [Buffer];
    expect(first.toString()).toMatch(/^HTTP\/1\.1 200 Connection established/);
    socket.write("x");
    const [echoed] = (await once(socket, "data")) as [Buffer];
    expect(echoed.toString()).toBe("x");
    socket.destroy();
  });

  test("the default port may be left out of Host", async () => {
    node.refuse = undefined;
    const answer = await node.ask(connect("CONNECT 127.0.0.9:443 HTTP/1.1", ["Host: 127.0.0.9"]));
    expect(answer?.field("relay-error")).toBe("connect_refused");
  });
});

test("a probe learns what this port is, and no more", async () => {
  for (const line of ["GET /healthz", "GET /", "GET /metrics"]) {
    const answer = await node.ask(rawRequest(line, ["Host: x"]));
    expect(answer?.status).toBe(400);
    const problem = JSON.parse(answer!.body) as { detail: string };
    expect(problem.detail).toBe("this is a proxy: it takes CONNECT and absolute http:// URLs");
  }
});

test("a path of connect-tcp without its Upgrade learns what to ask for", async () => {
  const line = "GET /.well-known/masque/tcp/db.example.com/5432/";
  const answer = await node.ask(rawRequest(line, ["Host: x"]));
  expect([answer?.status, answer?.field("relay-error")]).toEqual([426, "upgrade_required"]);
  expect(answer?.field("upgrade")).toBe("connect-tcp");
});

test("a head that is too long is told so", async () => {
  const answer = await node.ask(connect("CONNECT A HTTP/1.1", [`X: ${"x".repeat(70_000)}`]));
  expect([answer?.status, answer?.field("relay-error")]).toEqual([431, "fields_too_large"]);
});

test("a second Host behind thousands of fields is seen", async () => {
  const fields = Array.from({ length: 3_000 }, (_, index) => `X-${index}: y`);
  const answer = await node.ask(connect("CONNECT A HTTP/1.1", ["Host: A", ...fields, "Host: b"]));
  expect([answer?.status, answer?.field("relay-error")]).toEqual([400, "request_invalid"]);
});

test("a second request of a connection is looked at as strictly as the first", async () => {
  const first = get(["Host: elsewhere.test"]);
  // A refused request closes its connection; what is pipelined behind it is not served.
  const answers = await answersTo(await node.connect(), first + connect("CONNECT  A HTTP/1.1"));
  expect(answers.map(({ status }) => status)).toEqual([400]);
});

describe("credentials:", () => {
  const REFUSED: readonly (readonly [what: string, field: string, code: string])[] = [
    ["none", "X: y", "proxy_credentials_missing"],
    ["the target's own field", LOGIN.replace("Proxy-", ""), "proxy_credentials_missing"],
    ["another scheme", "Proxy-Authorization: Digest x", "proxy_credentials_invalid"],
    ["no base64", "Proxy-Authorization: Basic a b", "proxy_credentials_invalid"],
    ["an empty value", "Proxy-Authorization:", "proxy_credentials_invalid"],
    ["what nobody knows", `Proxy-Authorization: Bearer ${handleOf("nobody")}`, "handle_unknown"],
  ];
  test.each(REFUSED)("%s are refused with 407", async (_what, field, code) => {
    const answer = await node.ask(connectRequest(target.url, [field]));
    expect(answer?.status).toBe(407);
    expect(answer?.field("relay-error")).toBe(code);
    expect(
      answer?.fields.filter(([name]) => name === "Proxy-Authenticate").map(([, value]) => value),
    ).toEqual(['Basic realm="holdfast", charset="UTF-8"', 'Bearer realm="holdfast"']);
    expect(JSON.parse(answer!.body)).toMatchObject({ status: 407, code });
  });

  test("the reason phrase names the code", async () => {
    node.refuse = new RelayError("target_not_allowed", "not for you");
    const socket = await node.connect();
    socket.write(connectRequest("tcp://192.0.2.1:443"));
    const [head] = (await once(socket, "data")) as [Buffer];
    node.refuse = undefined;
    expect(head.toString()).toMatch(/^HTTP\/1\.1 403 Forbidden \(target_not_allowed\)\r\n/);
    await once(socket.resume(), "close");
  });

  test("a bearer is taken", async () => {
    const tunnel = await node.tunnel(target.url, { login: `Proxy-Authorization: Bearer ${handleOf("app")}` });
    expect(node.asked.at(-1)).toEqual({ credential: handleOf("app"), target: target.url });
    tunnel.destroy();
  });
});

test("refusals of strangers are counted, and fill no log", async () => {
  const reason = 'reason="request_invalid"';
  const before = (await node.metric(`holdfast_proxy_refused_total{${reason}}`)) ?? 0;
  await node.ask(connect(LINES["two spaces before the target"]!));
  await node.ask(get(["Host: elsewhere.test"]));
  await node.ask("nonsense\r\n\r\n");
  expect(await node.metric(`holdfast_proxy_refused_total{${reason}}`)).toBe(before + 3);
  const told = await node.metric('holdfast_streams_refused_total{reason="proxy_credentials_missing"}');
  await node.ask(connectRequest(target.url, []));
  expect(await node.metric('holdfast_streams_refused_total{reason="proxy_credentials_missing"}')).toBe(
    (told ?? 0) + 1,
  );
  const loud = node.log().filter(({ msg, level }) => msg === "stream refused" && (level as number) > 20);
  expect(loud.filter(({ client }) => client === undefined)).toEqual([]);
  expect(JSON.stringify(node.log())).not.toContain(handleOf("app"));
});
