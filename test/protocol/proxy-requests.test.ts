import { describe, expect, test } from "vitest";
import type { Field } from "../../protocol/headers.ts";
import {
  checkHost,
  connectTarget,
  forwardTarget,
  type ProxyRequest,
  readProxyRequest,
} from "../../protocol/proxy-requests.ts";
import { outcome } from "./outcome.ts";

function request(
  method: string,
  target: string,
  fields: readonly Field[] = [],
  version = "1.1",
): ProxyRequest {
  return { method, target, version, fields };
}

test("a parser's flat list is read as pairs", () => {
  const parsed = { method: "GET", url: "/", httpVersion: "1.1", rawHeaders: ["Host", "a", "X", "b"] };
  expect(readProxyRequest(parsed)).toEqual({
    method: "GET",
    target: "/",
    version: "1.1",
    fields: [
      ["Host", "a"],
      ["X", "b"],
    ],
  });
});

describe("Host and target:", () => {
  const CASES: readonly (readonly [
    method: string,
    host: string | undefined,
    to: string,
    version: string,
    ok: boolean,
  ])[] = [
    ["CONNECT", "a.test:8443", "a.test:8443", "1.1", true],
    ["CONNECT", "A.TEST:8443", "a.test:8443", "1.1", true],
    ["CONNECT", "a.test:443", "a.test:443", "1.1", true],
    ["CONNECT", "a.test", "a.test:443", "1.1", true],
    ["CONNECT", "a.test", "a.test:80", "1.1", false],
    ["CONNECT", "a.test:80", "a.test:443", "1.1", false],
    ["CONNECT", "b.test:443", "a.test:443", "1.1", false],
    ["CONNECT", "a.test:0443", "a.test:443", "1.1", false],
    ["CONNECT", "a.test.:443", "a.test:443", "1.1", false],
    ["CONNECT", "a.test:", "a.test:443", "1.1", false],
    ["CONNECT", "", "a.test:443", "1.1", false],
    ["CONNECT", undefined, "a.test:443", "1.1", true],
    ["CONNECT", undefined, "a.test:443", "1.0", true],
    ["CONNECT", "[2001:db8::1]:443", "[2001:db8::1]:443", "1.1", true],
    ["CONNECT", "[2001:DB8::1]", "[2001:db8::1]:443", "1.1", true],
    ["CONNECT", "2001:db8::1", "[2001:db8::1]:443", "1.1", false],
    ["GET", "a.test", "a.test:80", "1.1", true],
    ["GET", "a.test:80", "a.test:80", "1.1", true],
    ["GET", "a.test", "a.test:443", "1.1", false],
    ["GET", "a.test:8080", "a.test:8080", "1.1", true],
    ["GET", "u@a.test", "a.test:80", "1.1", false],
    ["GET", "a.test, a.test", "a.test:80", "1.1", false],
    ["GET", undefined, "a.test:80", "1.1", false],
    ["GET", undefined, "a.test:80", "1.0", true],
  ];
  test.each(CASES)("%s with %j to %s, HTTP/%s: %j", (method, host, to, version, isTaken) => {
    const target = connectTarget(request("CONNECT", to));
    const fields: Field[] = host === undefined ? [] : [["host", host]];
    const judged = outcome(() => checkHost(request(method, to, fields, version), target));
    expect(judged).toEqual(isTaken ? { value: undefined } : { error: "request_invalid" });
  });
});

describe("what two parsers could read in two ways:", () => {
  const CASES: readonly (readonly [what: string, fields: readonly Field[], version: string])[] = [
    ["HTTP/0.9", [], "0.9"],
    ["HTTP/2.0", [], "2.0"],
    [
      "two Host fields in other letters",
      [
        ["Host", "a.test"],
        ["hOST", "a.test"],
      ],
      "1.1",
    ],
    ["a length with a zero in front", [["Content-Length", "05"]], "1.1"],
    ["a length with a sign", [["Content-Length", "+5"]], "1.1"],
    ["a length that is none", [["Content-Length", ""]], "1.1"],
    ["a list of lengths", [["Content-Length", "5, 5"]], "1.1"],
    ["a length beyond what a number holds", [["Content-Length", "9007199254740993"]], "1.1"],
    ["a coding with a parameter", [["Transfer-Encoding", "chunked;a=b"]], "1.1"],
    ["identity", [["Transfer-Encoding", "identity"]], "1.1"],
  ];
  test.each(CASES)("%s is refused", (_what, fields, version) => {
    expect(outcome(() => forwardTarget(request("POST", "http://a.test/", fields, version)))).toEqual({
      error: "request_invalid",
    });
  });
});

describe("a CONNECT has no body:", () => {
  test.each([
    ["Content-Length", "0", true],
    ["Content-Length", "5", false],
    ["Content-Length", "00", false],
    ["Transfer-Encoding", "chunked", false],
  ] as const)("%s: %s", (name, value, isTaken) => {
    const asked = () => connectTarget(request("CONNECT", "a.test:443", [[name, value]])).port;
    expect(outcome(asked)).toEqual(isTaken ? { value: 443 } : { error: "request_invalid" });
  });
});
