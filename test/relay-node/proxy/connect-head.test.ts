import { describe, expect, test } from "vitest";
import { readConnectHead } from "../../../relay-node/proxy/connect-head.ts";

/** What is read without an HTTP parser. Whatever is left to one is judged in proxy-heads.test.ts, over both ways. */

const FIRST = "CONNECT a.test:443 HTTP/1.1\r\n";
const read = (text: string) => readConnectHead(Buffer.from(text, "latin1"));

describe("read here:", () => {
  test.each<[what: string, head: string, fields: readonly (readonly [string, string])[]]>([
    ["no field", `${FIRST}\r\n`, []],
    ["one", `${FIRST}Host: a.test:443\r\n\r\n`, [["Host", "a.test:443"]]],
    ["one without a space", `${FIRST}Host:a\r\n\r\n`, [["Host", "a"]]],
    ["one with many", `${FIRST}X:   a  b  \r\n\r\n`, [["X", "a  b"]]],
    [
      "one of nothing",
      `${FIRST}X:\r\nY:  \r\n\r\n`,
      [
        ["X", ""],
        ["Y", ""],
      ],
    ],
    ["colons in a value", `${FIRST}X: a:b:c\r\n\r\n`, [["X", "a:b:c"]]],
    ["bytes over 0x7F in a value", `${FIRST}X: \xe4\xff\r\n\r\n`, [["X", "\xe4\xff"]]],
    [
      "the same one twice",
      `${FIRST}Host: a\r\nhost: b\r\n\r\n`,
      [
        ["Host", "a"],
        ["host", "b"],
      ],
    ],
  ])("%s", (_what, head, fields) => {
    const request = { method: "CONNECT", target: "a.test:443", version: "1.1", fields };
    expect(read(head)).toEqual({ request, length: head.length });
    expect(read(`${head}what comes behind\r\n\r\n`)).toEqual({ request, length: head.length });
  });

  test("HTTP/1.0", () => {
    expect(read("CONNECT a:1 HTTP/1.0\r\n\r\n")?.request.version).toBe("1.0");
  });
});

describe("left to a parser:", () => {
  test.each([
    ["nothing", ""],
    ["a head that is not whole", `${FIRST}Host: a\r\n`],
    ["one that lacks its last byte", `${FIRST}Host: a\r\n\r`],
    ["another method", "GET http://a/ HTTP/1.1\r\n\r\n"],
    ["a method that begins so", "CONNECTS a:1 HTTP/1.1\r\n\r\n"],
    ["lower case", "connect a:1 HTTP/1.1\r\n\r\n"],
    ["an empty line in front", `\r\n${FIRST}\r\n`],
    ["two spaces", "CONNECT  a:1 HTTP/1.1\r\n\r\n"],
    ["two spaces behind the target", "CONNECT a:1  HTTP/1.1\r\n\r\n"],
    ["a space behind the version", "CONNECT a:1 HTTP/1.1 \r\n\r\n"],
    ["another version", "CONNECT a:1 HTTP/1.2\r\n\r\n"],
    ["a byte beyond ASCII in the target", "CONNECT \xe4:1 HTTP/1.1\r\n\r\n"],
    ["a bare line feed", "CONNECT a:1 HTTP/1.1\nHost: a\n\n"],
    ["a bare line feed behind a field", `${FIRST}Host: a\nX: y\r\n\r\n`],
    ["a bare carriage return", `${FIRST}Host: a\rX: y\r\n\r\n`],
    ["a folded line", `${FIRST}X: a\r\n b\r\n\r\n`],
    ["a tab in a value", `${FIRST}X: a\tb\r\n\r\n`],
    ["a control in a value", `${FIRST}X: a\x01b\r\n\r\n`],
    ["NUL in a value", `${FIRST}X: a\0b\r\n\r\n`],
    ["DEL in a value", `${FIRST}X: a\x7fb\r\n\r\n`],
    ["a space before a colon", `${FIRST}Host : a\r\n\r\n`],
    ["a name beyond ASCII", `${FIRST}X\xe4: a\r\n\r\n`],
    ["no name", `${FIRST}: a\r\n\r\n`],
    ["no colon", `${FIRST}X\r\n\r\n`],
    ["a length", `${FIRST}content-length: 0\r\n\r\n`],
    ["a coding", `${FIRST}Transfer-Encoding: chunked\r\n\r\n`],
    ["an upgrade", `${FIRST}Upgrade: x\r\n\r\n`],
    ["an expectation", `${FIRST}Expect: 100-continue\r\n\r\n`],
    ["a long one", `${FIRST}X: ${"x".repeat(17_000)}\r\n\r\n`],
  ])("%s", (_what, head) => expect(read(head)).toBeUndefined());
});
