import { describe, expect, test } from "vitest";
import { proxyCredentials } from "../../client/node/proxy/credentials.ts";
import { basicCredentials } from "../../protocol/proxy-credentials.ts";
import { answerBytes, failureAnswer } from "../../cli/agent/proxy/failure.ts";
import { socksReply } from "../../protocol/socks-replies.ts";
import { connectTarget, forwardTarget, type ProxyRequest } from "../../protocol/proxy-requests.ts";
import { readGreeting, readPassword, readRequest, SocksRefusal } from "../../protocol/socks5.ts";
import { type ErrorCode, RelayError } from "../../protocol/errors.ts";
import type { Field } from "../../protocol/headers.ts";

function request(
  target: string,
  fields: readonly Field[] = [["Host", "a.test"]],
  version = "1.1",
): ProxyRequest {
  return { method: "GET", target, version, fields };
}

describe("a CONNECT's target", () => {
  test.each([
    ["db.example.com:5432", "db.example.com", 5432],
    ["DB.Example.com:443", "db.example.com", 443],
    ["[2001:db8::1]:22", "2001:db8::1", 22],
    ["192.0.2.1:1", "192.0.2.1", 1],
  ])("%s", (target, host, port) => {
    expect(connectTarget(request(target))).toMatchObject({ host, port });
  });

  test.each([
    "db.example.com",
    "db.example.com:",
    "db.example.com:0",
    "db.example.com:65536",
    "db.example.com:05432",
    "user@db.example.com:443",
    "user:pw@db.example.com:443",
    "db.example.com:443/",
    "db.example.com:443?x",
    "http://db.example.com:443",
    "0x7f.1:80",
    "2130706433:80",
    "db.example.com.:443",
    "[::1%eth0]:80",
    ":443",
    "",
    "/",
    "a b:1",
    "a\u00e9.test:1",
  ])("%j is refused", (target) => {
    expect(() => connectTarget(request(target))).toThrow(RelayError);
  });

  test.each<[string, Field[]]>([
    [
      "a length",
      [
        ["Host", "a"],
        ["Content-Length", "1"],
      ],
    ],
    [
      "a coding",
      [
        ["Host", "a"],
        ["Transfer-Encoding", "chunked"],
      ],
    ],
    [
      "two hosts",
      [
        ["Host", "a"],
        ["host", "a"],
      ],
    ],
  ])("with %s is refused", (_, fields) => {
    expect(() => connectTarget(request("a.test:1", fields))).toThrow(RelayError);
  });
});

describe("a forwarded request", () => {
  test("goes on without what belongs to its connection, in its order and spelling", () => {
    const { url, fields } = forwardTarget(
      request("http://API.test:8080/a%2Fb?c=%20", [
        ["X-One", "1"],
        ["Host", "elsewhere.test"],
        ["Proxy-Authorization", "Basic c2VjcmV0"],
        ["Proxy-Connection", "keep-alive"],
        ["Connection", "X-Hop, close"],
        ["X-Hop", "gone"],
        ["Keep-Alive", "5"],
        ["TE", "trailers"],
        ["Upgrade", "h2c"],
        ["Content-Length", "3"],
        ["x-one", "2"],
        ["Relay-Authorization", "Bearer kept"],
      ]),
    );
    expect([url.host, url.port, url.path]).toEqual(["api.test", 8080, "/a%2Fb?c=%20"]);
    expect(fields).toEqual([
      ["Host", "api.test:8080"],
      ["X-One", "1"],
      ["x-one", "2"],
      ["Relay-Authorization", "Bearer kept"],
    ]);
  });

  test.each([
    "/",
    "*",
    "https://a.test/",
    "ftp://a.test/",
    "http://u:p@a.test/",
    "http://a.test/#x",
    "http:///x",
    "a.test:80",
  ])("%j is refused", (target) => {
    expect(() => forwardTarget(request(target))).toThrow(RelayError);
  });

  test.each<[string, Field[], string]>([
    [
      "two hosts",
      [
        ["Host", "a.test"],
        ["Host", "a.test"],
      ],
      "1.1",
    ],
    [
      "length and coding",
      [
        ["Content-Length", "1"],
        ["Transfer-Encoding", "chunked"],
      ],
      "1.1",
    ],
    [
      "two lengths",
      [
        ["Content-Length", "1"],
        ["Content-Length", "1"],
      ],
      "1.1",
    ],
    ["another coding", [["Transfer-Encoding", "gzip, chunked"]], "1.1"],
    ["a coding under HTTP/1.0", [["Transfer-Encoding", "chunked"]], "1.0"],
  ])("with %s is refused", (_, fields, version) => {
    expect(() => forwardTarget(request("http://a.test/", fields, version))).toThrow(RelayError);
  });
});

describe("credentials", () => {
  test("are made anew, and admit nothing else", () => {
    const one = proxyCredentials();
    expect(one.password).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(proxyCredentials().password).not.toBe(one.password);
    expect(one.admits(one.user, one.password)).toBe(true);
    expect(one.admits(one.user, `${one.password} `)).toBe(false);
    expect(one.admits("", one.password)).toBe(false);
    expect(one.admits(one.user, "")).toBe(false);
  });

  test.each([
    [undefined, undefined],
    ["", undefined],
    ["Bearer YTpi", undefined],
    ["Basic", undefined],
    ["Basic YQ==", undefined],
    ["basic YTpi", { user: "a", password: "b" }],
    ["Basic YTpiOmM=", { user: "a", password: "b:c" }],
  ])("%j", (value, expected) => {
    expect(basicCredentials(value)).toEqual(expected);
  });
});

describe("failures", () => {
  test.each<[ErrorCode, number, number]>([
    ["target_not_allowed", 403, 2],
    ["address_refused", 403, 2],
    ["dns_failed", 502, 4],
    ["connect_refused", 502, 5],
    ["connect_failed", 502, 3],
    ["connect_timeout", 504, 6],
    ["client_unknown", 502, 2],
    ["token_expired", 502, 2],
    ["proxy_credentials_invalid", 502, 2],
    ["handle_unknown", 502, 2],
    ["grant_expired", 502, 1],
    ["authorization_unavailable", 503, 1],
    ["node_draining", 503, 1],
    ["node_full", 503, 1],
    ["rate_limited", 503, 1],
    ["no_node", 503, 1],
    ["url_invalid", 400, 1],
    ["edge_unreachable", 502, 1],
  ])("%s is %i, and %i to SOCKS", (code, status, reply) => {
    const error = new RelayError(code, "so\r\nSet-Cookie: a=b");
    const told = failureAnswer(error);
    expect([told.status, socksReply(error)]).toEqual([status, reply]);
    expect(told.headers).toContainEqual(["Relay-Error", code]);
    expect(told.body).toBe(`holdfast: ${code}: so Set-Cookie: a=b\n`);
    expect(answerBytes(told)).toMatch(
      /^HTTP\/1\.1 \d{3} [A-Z][A-Za-z ]+\r\n[^]*\r\nProxy-Status: holdfast; error=/,
    );
  });
});

describe("SOCKS messages", () => {
  const cases: [string, (bytes: Buffer) => unknown, number[], unknown][] = [
    ["a greeting", readGreeting, [5, 2, 0, 2], true],
    ["a greeting without passwords", readGreeting, [5, 1, 0], false],
    ["a greeting without methods", readGreeting, [5, 0], false],
    ["a password", readPassword, [1, 1, 97, 2, 98, 99], { user: "a", password: "bc" }],
    ["an empty password", readPassword, [1, 0, 0], { user: "", password: "" }],
    ["an IPv4 address", readRequest, [5, 1, 0, 1, 192, 0, 2, 1, 21, 56], { host: "192.0.2.1", port: 5432 }],
    ["a name", readRequest, [5, 1, 0, 3, 3, 97, 46, 98, 0, 80], { host: "a.b", port: 80 }],
    [
      "an IPv6 address",
      readRequest,
      [5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 22],
      { host: "2001:db8::1", port: 22 },
    ],
  ];
  test.each(cases)(
    "%s is read, whatever way it was split, and nothing behind it",
    (_, read, bytes, value) => {
      for (let length = 0; length < bytes.length; length++) {
        expect(read(Buffer.from(bytes.slice(0, length)))).toBeUndefined();
      }
      expect(read(Buffer.from([...bytes, 1, 2, 3]))).toEqual({ value, length: bytes.length });
    },
  );

  test.each<[string, (bytes: Buffer) => unknown, number[], number | undefined]>([
    ["SOCKS 4", readGreeting, [4], undefined],
    ["another kind of login", readPassword, [5, 0], undefined],
    ["BIND", readRequest, [5, 2, 0, 1, 192, 0, 2, 1, 0, 80], 7],
    ["UDP", readRequest, [5, 3, 0, 1, 192, 0, 2, 1, 0, 80], 7],
    ["an unknown kind of address", readRequest, [5, 1, 0, 2, 1], 8],
  ])("%s is refused", (_, read, bytes, reply) => {
    let thrown: unknown;
    try {
      read(Buffer.from(bytes));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SocksRefusal);
    expect((thrown as SocksRefusal).reply).toBe(reply);
  });
});
