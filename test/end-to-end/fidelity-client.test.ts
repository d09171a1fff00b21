import { afterAll, beforeAll, expect, test } from "vitest";
import { type Bench, startBench } from "../support/fidelity.ts";
import type { RawOrigin } from "../support/raw-origin.ts";

/** What a target sees of a request that our client's fetch was asked for. */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

/** The head that a target must see: Host and Connection are the node's own, the rest the caller's. */
function headOf(
  origin: RawOrigin,
  line: string,
  fields: readonly string[],
  connection = "keep-alive",
): string {
  return [line, `host: ${origin.host}`, `connection: ${connection}`, ...fields, "", ""].join("\r\n");
}

const ADDED = ["accept: */*", "user-agent: holdfast"];
const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
const form = new FormData();
form.set("a", "b");
const stream = () =>
  new ReadableStream<Uint8Array>({
    start: (controller) => {
      controller.enqueue(bytes);
      controller.close();
    },
  });

test.each<{
  what: string;
  init: RequestInit & { duplex?: "half" };
  line: string;
  fields: readonly string[];
  body?: Uint8Array | string;
}>([
  { what: "a plain GET", init: {}, line: "GET", fields: ADDED },
  { what: "HEAD", init: { method: "head" }, line: "HEAD", fields: ADDED },
  { what: "OPTIONS", init: { method: "OPTIONS" }, line: "OPTIONS", fields: ADDED },
  { what: "PATCH without a body", init: { method: "PATCH" }, line: "PATCH", fields: ADDED },
  { what: "DELETE without a body", init: { method: "DELETE" }, line: "DELETE", fields: ADDED },
  {
    what: "POST without a body",
    init: { method: "POST" },
    line: "POST",
    fields: [...ADDED, "content-length: 0"],
  },
  { what: "a method of one's own", init: { method: "Foo-Bar" }, line: "Foo-Bar", fields: ADDED },
  {
    what: "fields as a list",
    init: {
      headers: [
        ["X-B", "1"],
        ["x-a", " 2 "],
        ["X-B", "\xe9"],
        ["Accept", "x/y"],
        ["User-Agent", "me"],
      ],
    },
    line: "GET",
    fields: ["X-B: 1", "x-a: 2", "X-B: \xe9", "Accept: x/y", "User-Agent: me"],
  },
  {
    what: "a string",
    init: { method: "PATCH", body: "héllo" },
    line: "PATCH",
    fields: [...ADDED, "content-type: text/plain;charset=UTF-8", "content-length: 6"],
    body: "héllo",
  },
  {
    what: "bytes",
    init: { method: "DELETE", body: bytes },
    line: "DELETE",
    fields: [...ADDED, "content-length: 256"],
    body: bytes,
  },
  {
    what: "no bytes",
    init: { method: "PUT", body: new Uint8Array() },
    line: "PUT",
    fields: [...ADDED, "content-length: 0"],
    body: "",
  },
  {
    what: "a form",
    init: { method: "POST", body: new URLSearchParams({ a: "b c", d: "é" }) },
    line: "POST",
    fields: [...ADDED, "content-type: application/x-www-form-urlencoded;charset=UTF-8", "content-length: 14"],
    body: "a=b+c&d=%C3%A9",
  },
  {
    what: "a Blob with a type",
    init: { method: "POST", body: new Blob(["xyz"], { type: "a/b" }) },
    line: "POST",
    fields: [...ADDED, "content-type: a/b", "content-length: 3"],
    body: "xyz",
  },
  {
    what: "a stream",
    init: { method: "POST", body: stream(), duplex: "half" },
    line: "POST",
    fields: [...ADDED, "transfer-encoding: chunked"],
    body: bytes,
  },
  {
    what: "a stream with DELETE",
    init: { method: "DELETE", body: stream(), duplex: "half" },
    line: "DELETE",
    fields: [...ADDED, "transfer-encoding: chunked"],
    body: bytes,
  },
])("$what", async ({ init, line, fields, body = "" }) => {
  bench.tls.next(async (exchange) => {
    await exchange.ended;
    await exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  const response = await bench.relay.fetch(`${bench.tls.url}/%7e?q='`, init);
  expect(response.status).toBe(200);
  const exchange = await bench.tls.request();
  await exchange.ended;
  // The URL parser of the Fetch standard has rewritten the quote before this client sees it.
  expect(exchange.head.text).toBe(
    headOf(bench.tls, `${line} /%7e?q=%27 HTTP/1.1`, fields, line === "HEAD" ? "close" : "keep-alive"),
  );
  expect(exchange.body.whole).toBe(true);
  expect(exchange.body.content.equals(Buffer.from(body))).toBe(true);
});

test("a multipart form keeps its boundary", async () => {
  await bench.relay.fetch(bench.tls.url, { method: "POST", body: form });
  const { head, body, ended } = await bench.tls.request();
  await ended;
  const type = head.fields.find(([name]) => name === "content-type")![1];
  const boundary = type.replace("multipart/form-data; boundary=", "");
  expect(body.content.toString()).toBe(
    `--${boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--${boundary}--\r\n`,
  );
});
