import { describe, expect, test } from "vitest";
import { isRelayError } from "../../../protocol/errors.ts";
import { AnswerReader } from "../../../relay-node/http1/answer-reader.ts";

/** What an answer is read as must not hang on the pieces that it comes in. */

interface Read {
  status?: number;
  reason?: string;
  fields?: string[];
  body: string;
  isKept?: boolean;
  keptSeconds?: number | undefined;
  ended: boolean;
  /** Bytes behind its end. */
  behind: number;
  refused?: string;
}

/** Reads text in pieces of so many bytes. @param closes the connection's end follows */
function read(text: string, pieces: number, { method = "GET", closes = false } = {}): Read {
  const got: Read = { body: "", ended: false, behind: 0 };
  const reader = new AnswerReader({
    onHead: ({ status, reason, fields, isKept, keptSeconds }) => {
      Object.assign(got, { status, reason, fields: fields.flat(), isKept, keptSeconds });
    },
    onBody: (bytes) => (got.body += bytes.toString("latin1")),
    isPaused: () => false,
    onEnd: () => (got.ended = true),
  });
  reader.expect(method);
  const bytes = Buffer.from(text, "latin1");
  try {
    for (let at = 0; at < bytes.length; at += pieces) {
      const piece = bytes.subarray(at, at + pieces);
      got.behind += reader.isReading ? reader.take(piece) : piece.length;
    }
    if (closes && reader.isReading) reader.end();
  } catch (error) {
    got.refused = isRelayError(error) ? error.code : String(error);
  }
  return got;
}

const PIECES = [1, 2, 3, 7, 64, 100_000];
const OK = "HTTP/1.1 200 OK\r\n";

describe("an answer is read alike in whatever pieces it comes", () => {
  test.each<{ what: string; text: string; method?: string; closes?: boolean; is: Partial<Read> }>([
    {
      what: "by its length",
      text: `${OK}Content-Length: 5\r\n\r\nhello`,
      is: { body: "hello", isKept: true },
    },
    { what: "of no length", text: `${OK}Content-Length: 0\r\n\r\n`, is: { body: "", isKept: true } },
    {
      what: "by chunks, with extensions and trailers",
      text: `${OK}Transfer-Encoding: Chunked\r\n\r\n5;a="b"\r\nhello\r\n1\r\n!\r\n0;x\r\nX-Sum: 1\r\nX-B:\r\n\r\n`,
      is: { body: "hello!", isKept: true },
    },
    {
      what: "by chunks that hold what looks like their end",
      text: `${OK}Transfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n`,
      is: { body: "\r\n0\r\n\r\n" },
    },
    {
      what: "by the connection's end",
      text: `${OK}X: y\r\n\r\nall of it`,
      closes: true,
      is: { body: "all of it", isKept: false },
    },
    {
      what: "of HTTP/1.0, which keeps nothing",
      text: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
      is: { body: "ok", isKept: false },
    },
    {
      what: "of HTTP/1.0 that keeps its connection",
      text: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nKeep-Alive: max=5, timeout=9\r\nContent-Length: 2\r\n\r\nok",
      is: { body: "ok", isKept: true, keptSeconds: 9 },
    },
    {
      what: "of HTTP/1.0 by chunks, which it knows nothing of",
      text: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      is: { body: "", isKept: false },
    },
    {
      what: "that closes",
      text: `${OK}Connection: x, Close\r\nContent-Length: 2\r\n\r\nok`,
      is: { body: "ok", isKept: false },
    },
    {
      what: "to HEAD, whatever length it tells: what follows it may be a body",
      text: `${OK}Content-Length: 999\r\n\r\n`,
      method: "HEAD",
      is: { body: "", isKept: false },
    },
    {
      what: "of 204 with a length: what follows it may be a body",
      text: "HTTP/1.1 204 None\r\nContent-Length: 3\r\n\r\n",
      is: { status: 204, body: "", isKept: false },
    },
    { what: "of 304", text: 'HTTP/1.1 304 Same\r\nETag: "a"\r\n\r\n', is: { status: 304, isKept: true } },
    {
      what: "behind interim ones",
      text: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 H\r\nContent-Length: 9\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
      is: { status: 200, body: "ok" },
    },
    {
      what: "with repeats, bytes beyond ASCII and white space",
      text: "HTTP/1.1 200 caf\xe9\r\na:b\r\nA: \t c\xff \t\r\nE:\r\nContent-Length:2\r\n\r\nok",
      is: { reason: "caf\xe9", fields: ["a", "b", "A", "c\xff", "E", "", "Content-Length", "2"] },
    },
    { what: "without a reason", text: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", is: { reason: "" } },
  ])("$what", ({ text, method = "GET", closes = false, is }) => {
    for (const pieces of PIECES) {
      const got = read(text, pieces, { method, closes });
      expect([pieces, got]).toMatchObject([pieces, { ...is, ended: true, behind: 0 }]);
      expect(got.refused).toBeUndefined();
    }
  });

  test("also one with a head of 200 kB, byte by byte, in no time that grows with its square", () => {
    const long = "x".repeat(200_000);
    const got = read(`${OK}X: ${long}\r\nContent-Length: 2\r\n\r\nok`, 1);
    expect([got.fields?.[1]?.length, got.body, got.ended]).toEqual([200_000, "ok", true]);
  });

  test("and so one with 250 kB of blanks inside a value", () => {
    const got = read(`${OK}X: \t a${" ".repeat(250_000)}b \t\r\nContent-Length: 2\r\n\r\nok`, 65_536);
    expect([got.fields?.[1]?.length, got.body]).toEqual([250_002, "ok"]);
  });

  test("and one whose first line is as long as it may be", () => {
    const reason = "r".repeat(16_000);
    const got = read(`HTTP/1.1 200 ${reason}\r\nX: ${"x".repeat(200_000)}\r\nContent-Length: 2\r\n\r\nok`, 1);
    expect([got.reason?.length, got.body]).toEqual([16_000, "ok"]);
    for (const pieces of PIECES.slice(3)) {
      expect(read(`HTTP/1.1 200 ${"r".repeat(120_000)}`, pieces).refused).toBe("target_fields_too_large");
    }
  });

  test("and what stands behind it is told, not read", () => {
    for (const pieces of PIECES) {
      const got = read(`${OK}Content-Length: 2\r\n\r\nok${OK}Content-Length: 6\r\n\r\npoison`, pieces);
      expect([got.body, got.behind]).toEqual(["ok", OK.length + 27]);
    }
  });

  test("and one whose connection ends before it does is none", () => {
    const cut = [
      "",
      "HTTP/1.1 2",
      OK,
      `${OK}Content-Length: 5\r\n\r\nhell`,
      `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`,
      `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n`,
    ];
    for (const text of cut) expect([text, read(text, 3, { closes: true }).ended]).toEqual([text, false]);
  });
});

test("an answer that is to wait waits to its end, behind each piece of its body", () => {
  const got: string[] = [];
  let isPaused = false;
  const reader = new AnswerReader({
    onHead: () => {},
    onBody: (bytes) => {
      got.push(bytes.toString());
      isPaused = true;
    },
    isPaused: () => isPaused,
    onEnd: () => got.push("end"),
  });
  const goOn = () => {
    isPaused = false;
    return reader.take(Buffer.alloc(0));
  };
  for (const [text, pieces] of [
    [`${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\nmore`, ["a", "b"]],
    [`${OK}Content-Length: 2\r\n\r\nokmore`, ["ok"]],
  ] as const) {
    reader.expect("GET");
    isPaused = false;
    got.length = 0;
    expect(reader.take(Buffer.from(text))).toBe(0);
    for (const [index] of pieces.entries()) {
      expect(got).toEqual(pieces.slice(0, index + 1));
      expect(goOn()).toBe(index === pieces.length - 1 ? 4 : 0);
    }
    expect(got).toEqual([...pieces, "end"]);
  }
});

describe("what could be read in two ways is refused, in whatever pieces it comes", () => {
  const body = "Content-Length: 2\r\n\r\nok";
  const chunks = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
  test.each([
    ["no status line", "hello\r\n\r\n"],
    ["an empty line before it", `\r\n${OK}${body}`],
    ["HTTP/2's", `HTTP/2.0 200 OK\r\n${body}`],
    ["a reason with a control character", `HTTP/1.1 200 a\x1bb\r\n${body}`],
    ["a status of two digits", `HTTP/1.1 20 OK\r\n${body}`],
    ["lines that end without CR", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n"],
    ["a line break in a value, without CR", `${OK}X: a\nY: b\r\n${body}`],
    ["a CR in a value", `${OK}X: a\rb\r\n${body}`],
    ["a NUL in a value", `${OK}X: a\0\r\n${body}`],
    ["a folded line", `${OK}X: a\r\n b\r\n${body}`],
    ["a space before the colon", `${OK}Content-Length : 2\r\n\r\nok`],
    ["a line without a colon", `${OK}nothing\r\n${body}`],
    ["a field without a name", `${OK}: x\r\n${body}`],
    ["two lengths", `${OK}Content-Length: 2\r\n${body}`],
    ["a list of lengths", `${OK}Content-Length: 2, 2\r\n\r\nok`],
    ["a length with a sign", `${OK}Content-Length: +2\r\n\r\nok`],
    ["a length in hex", `${OK}Content-Length: 0x2\r\n\r\nok`],
    ["no length at all", `${OK}Content-Length:\r\n\r\nok`],
    ["a length beyond all numbers", `${OK}Content-Length: 9999999999999999\r\n\r\nok`],
    ["length and chunks", `${OK}Transfer-Encoding: chunked\r\n${body}`],
    ["chunks twice", `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["a coding before chunks", `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ["a coding that is nearly chunked", `${OK}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n`],
    ["101", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
    ["a chunk's size that is none", `${chunks}g\r\nx\r\n0\r\n\r\n`],
    ["a chunk's size with a sign", `${chunks}+1\r\nx\r\n0\r\n\r\n`],
    ["a chunk's size with 0x", `${chunks}0x1\r\nx\r\n0\r\n\r\n`],
    ["a chunk's size with white space", `${chunks}1 \r\nx\r\n0\r\n\r\n`],
    ["a chunk's size that overflows", `${chunks}fffffffffffffffff\r\nx\r\n0\r\n\r\n`],
    ["a chunk without a size", `${chunks}\r\nx\r\n0\r\n\r\n`],
    ["a chunk that is longer than it says", `${chunks}1\r\nxy\r\n0\r\n\r\n`],
    ["a chunk whose line ends without CR", `${chunks}1\nx\n0\n\n\r\n`],
    ["a line break in an extension", `${chunks}1;a\nb\r\nx\r\n0\r\n\r\n`],
    ["a trailer that is no field", `${chunks}0\r\nno trailer\r\n\r\n`],
  ])("%s", (_, text) => {
    for (const pieces of PIECES) {
      expect([pieces, read(text, pieces)]).toMatchObject([
        pieces,
        { refused: "target_protocol", ended: false },
      ]);
    }
  });

  test.each([
    ["a head beyond its limit", `${OK}X: ${"x".repeat(270_000)}`],
    ["trailers beyond their limit", `${chunks}0\r\n${`X: ${"x".repeat(990)}\r\n`.repeat(70)}`],
  ])("%s, before its end has come", (_, text) => {
    for (const pieces of [4_096, 1_000_000]) {
      expect(read(text, pieces)).toMatchObject({ refused: "target_fields_too_large", ended: false });
    }
  });

  test("a line with a chunk's size beyond its limit, before its end has come", () => {
    expect(read(`${chunks}1;${"x".repeat(17_000)}`, 1_000).refused).toBe("target_protocol");
  });
});
