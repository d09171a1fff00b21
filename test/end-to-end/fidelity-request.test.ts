import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Field } from "../../protocol/headers.ts";
import type { Framing } from "../../protocol/claims.ts";
import { type Bench, startBench } from "../support/fidelity.ts";
import type { RawOrigin } from "../support/raw-origin.ts";
import { EdgeCall, enveloped } from "../support/raw-caller.ts";

/** What a target sees of a request, byte for byte, where an envelope carried it. */

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

/** Sends an enveloped request and gives back what came out at the other end. */
async function relayed(
  origin: RawOrigin,
  call: { method: string; path: string; fields?: readonly Field[]; framing?: Framing; body?: string },
) {
  const { path, body, ...rest } = call;
  const answer = await EdgeCall.make(
    bench.edge,
    await enveloped(bench.relayUrl, { ...rest, url: origin.url + path }),
    body,
  );
  expect(answer.body.content.toString()).toBe("ok");
  const { head, body: seen, ended } = await origin.request();
  await ended;
  return { head, seen };
}

describe("every method keeps every framing", () => {
  const methods = [
    "GET",
    "HEAD",
    "OPTIONS",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "QUERY",
    "PROPFIND",
    "M-SEARCH",
    "LINK",
    "FOO",
    "foo",
    "post",
  ];
  const framings: { framing: Framing; body?: string; fields: string[] }[] = [
    { framing: "none", fields: [] },
    { framing: 0, fields: ["content-length: 0"] },
    { framing: 5, body: "bytes", fields: ["content-length: 5"] },
    { framing: "chunked", body: "in chunks", fields: ["transfer-encoding: chunked"] },
    { framing: "chunked", body: "", fields: ["transfer-encoding: chunked"] },
  ];
  for (const method of methods) {
    test.each(framings)(
      `${method} with framing $framing and body "$body"`,
      async ({ framing, body, fields }) => {
        bench.tls.next(async (exchange) => {
          await exchange.ended;
          await exchange.send(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${method === "HEAD" ? "" : "ok"}`);
        });
        const wire = await enveloped(bench.relayUrl, { method, url: `${bench.tls.url}/m`, framing });
        const answer = await EdgeCall.make(bench.edge, wire, body);
        expect(answer.head.start).toBe("HTTP/1.1 200 OK");
        const exchange = await bench.tls.request();
        await exchange.ended;
        expect(exchange.head.text).toBe(
          headOf(bench.tls, `${method} /m HTTP/1.1`, fields, method === "HEAD" ? "close" : "keep-alive"),
        );
        expect(exchange.body.whole).toBe(true);
        expect(exchange.body.content.toString()).toBe(body ?? "");
        expect(exchange.body.trailers).toEqual([]);
      },
    );
  }
});

test.each([
  "/",
  "/?",
  "/%7E~%7e",
  "/a%2fb%2Fc",
  "//two//slashes//",
  "/a/../b/./c",
  "/%2e%2E/%252e",
  "/%zz%",
  "/a;b=c,d:e@f!$&'()*+=",
  '/<>"{}|^`[]',
  "/%E9%00%0D%0A",
  "/a+b%20c",
  "/x?y=1?z=2&&=&a=b+c%20d",
  "/x?\\back\\slash'quote\"",
  "/x?[]={}|^`<>",
  `/long?${"q=%C3%A9&".repeat(700)}`,
])("the path and query %s stay as they are", async (path) => {
  const { head } = await relayed(bench.tls, { method: "GET", path });
  expect(head.text).toBe(headOf(bench.tls, `GET ${path} HTTP/1.1`, []));
});

test("a query without a path gets the slash that HTTP needs, and nothing else", async () => {
  const { head } = await relayed(bench.tls, { method: "GET", path: "?a=%7E" });
  expect(head.start).toBe("GET /?a=%7E HTTP/1.1");
});

const HIGH = String.fromCharCode(...Array.from({ length: 128 }, (_, i) => 0x80 + i));

test.each<{ what: string; fields: readonly Field[] }>([
  {
    what: "repeats in their order and case",
    fields: [
      ["X-One", "1"],
      ["Accept", "a/b"],
      ["x-one", "2"],
      ["X-ONE", "1"],
      ["ACCEPT", "c/d"],
    ],
  },
  {
    what: "every byte over 0x7F",
    fields: [
      ["X-High", HIGH],
      ["X-Utf8", "\xc3\xa9\xf0\x9f\x98\x80"],
    ],
  },
  {
    what: "tabs, quotes, commas and empty values",
    fields: [
      ["X-Tab", "a\tb  c"],
      ["X-Empty", ""],
      ["X-Quote", '"a, b", c;d="\\""'],
      ["X-Comma", ",,"],
    ],
  },
  {
    what: "every character that a name may have",
    fields: [
      ["!#$%&'*+-.^_`|~09azAZ", "x"],
      ["1", "digit"],
      ["0", "digit"],
    ],
  },
  {
    what: "several Cookie fields",
    fields: [
      ["Cookie", "a=1; b=2"],
      ["cookie", 'c="3"'],
      ["Cookie", "a=4"],
    ],
  },
  { what: "the target's own Authorization", fields: [["Authorization", "Basic dXNlcjpwYXNz"]] },
  { what: "a field of 20 kB", fields: [["X-Big", "b".repeat(20_480)]] },
  {
    what: "100 kB of fields",
    fields: Array.from({ length: 100 }, (_, i): Field => [`X-Many-${i}`, "m".repeat(1_000)]),
  },
  { what: "900 fields", fields: Array.from({ length: 900 }, (_, i): Field => ["X-Many", String(i)]) },
  {
    what: "codings, which nobody here adds or takes",
    fields: [
      ["Accept-Encoding", "br;q=1.0, x-own"],
      ["Content-Encoding", "gzip"],
      ["Content-Type", "a/b"],
    ],
  },
  {
    what: "what proxies and CDNs like to set",
    fields: [
      ["Via", "1.1 x"],
      ["X-Forwarded-For", "192.0.2.1"],
      ["Forwarded", "for=_x"],
      ["CF-Connecting-IP", "192.0.2.1"],
      ["CDN-Loop", "cdn"],
      ["X-Real-IP", "192.0.2.2"],
    ],
  },
  {
    what: "names of objects' own",
    fields: [
      ["__proto__", "1"],
      ["constructor", "2"],
      ["toString", "3"],
      ["__proto__", "4"],
    ],
  },
  {
    what: "validators and ranges",
    fields: [
      ["If-None-Match", 'W/"a", "b"'],
      ["Range", "bytes=0-9,20-"],
      ["Date", "Thu, 01 Jan 1970 00:00:00 GMT"],
      ["Max-Forwards", "3"],
    ],
  },
  { what: "no field at all", fields: [] },
])("fields stay as they are: $what", async ({ fields }) => {
  const lines = fields.map(([name, value]) => `${name}: ${value}`);
  for (const origin of [bench.tls, bench.plain]) {
    const { head } = await relayed(origin, { method: "GET", path: "/f", fields });
    expect(head.text).toBe(headOf(origin, "GET /f HTTP/1.1", lines));
  }
});
