import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createRelay } from "../../client/index.ts";
import type { Field } from "../../protocol/headers.ts";
import { answered, says } from "../support/answered.ts";
import { type Bench, startBench } from "../support/fidelity.ts";

/** What our client sees of an answer's body. */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

const text = "The same text again and again. ".repeat(200);
const codings: readonly [string, Buffer][] = [
  ["gzip", gzipSync(text)],
  ["br", brotliCompressSync(text)],
  ["zstd", zstdCompressSync(text)],
  ["x-of-its-own", Buffer.from("\x00\xff\xfe")],
];
test.each(codings)("one coded by %s comes as it was sent", async (coding, bytes) => {
  const head = `HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: ${bytes.length}\r\n\r\n`;
  const { response, fields } = await answered(bench, says(head, bytes));
  expect(fields).toEqual([
    ["Content-Encoding", coding],
    ["Content-Length", String(bytes.length)],
  ]);
  expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
});

test.each(codings.slice(0, 2))(
  "a client that decodes %s as fetch does gets the text",
  async (coding, bytes) => {
    bench.tls.next(
      says(
        `HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nTransfer-Encoding: chunked\r\n\r\n${bytes.length.toString(16)}\r\n`,
        bytes,
        "\r\n0\r\n\r\n",
      ),
    );
    const response = await createRelay(bench.relayUrl).fetch(bench.tls.url);
    expect(await response.text()).toBe(text);
    await bench.tls.request();
  },
);

test.each([
  {
    what: "a length",
    head: "Content-Length: 3\r\n",
    body: "abc",
    fields: [["Content-Length", "3"]],
    got: "abc",
  },
  {
    what: "a length of zero",
    head: "Content-Length: 0\r\n",
    body: "",
    fields: [["Content-Length", "0"]],
    got: "",
  },
  {
    what: "chunks",
    head: "Transfer-Encoding: chunked\r\n",
    body: "1\r\na\r\n2;ext=1\r\nbc\r\n0\r\n\r\n",
    fields: [],
    got: "abc",
  },
  { what: "no chunk", head: "Transfer-Encoding: chunked\r\n", body: "0\r\n\r\n", fields: [], got: "" },
  { what: "its connection's end", head: "Connection: close\r\n", body: "abc", fields: [], got: "abc" },
  {
    what: "trailers, which are dropped",
    head: "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n",
    body: "3\r\nabc\r\n0\r\nX-Sum: 1\r\nSet-Cookie: t=1\r\n\r\n",
    fields: [],
    got: "abc",
  },
])("one framed by $what", async ({ head, body, fields, got }) => {
  const { response, fields: seen } = await answered(bench, async (exchange) => {
    await exchange.send(`HTTP/1.1 200 OK\r\n${head}\r\n${body}`);
    if (head.startsWith("Connection: close")) exchange.finish();
  });
  expect(seen).toEqual(fields);
  expect(await response.text()).toBe(got);
});

test.each<[string, string, string, readonly Field[]]>([
  [
    "HEAD",
    "200 OK",
    "Content-Length: 5000\r\nETag: x\r\n",
    [
      ["Content-Length", "5000"],
      ["ETag", "x"],
    ],
  ],
  ["HEAD", "200 OK", "Transfer-Encoding: chunked\r\n", []],
  ["GET", "204 No Content", "X-A: 1\r\n", [["X-A", "1"]]],
  [
    "GET",
    "304 Not Modified",
    'Content-Length: 5000\r\nETag: "x"\r\n',
    [
      ["Content-Length", "5000"],
      ["ETag", '"x"'],
    ],
  ],
  ["GET", "205 Reset Content", "Content-Length: 0\r\n", [["Content-Length", "0"]]],
])("%s with %s has none, whatever %j says", async (method, status, lines, fields) => {
  const { response, fields: got } = await answered(bench, says(`HTTP/1.1 ${status}\r\n${lines}\r\n`), {
    method,
  });
  expect(`${response.status} ${response.statusText}`).toBe(status);
  expect(got).toEqual(fields);
  expect(response.body).toBeNull();
});
