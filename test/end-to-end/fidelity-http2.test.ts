import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Field } from "../../protocol/headers.ts";
import type { Framing } from "../../protocol/claims.ts";
import { type Bench, startBench } from "../support/fidelity.ts";
import { Http2Origin } from "../support/http2-origin.ts";
import { EdgeCall, enveloped } from "../support/raw-caller.ts";
import { freePort } from "../support/stack.ts";

/** What a target that chooses HTTP/2 sees of a request: what is kept, and by name what its framing alters. */

let bench: Bench;
let origin: Http2Origin;
beforeAll(async () => {
  const port = await freePort();
  bench = await startBench([`https://localhost:${port}`]);
  origin = await Http2Origin.start(port, bench.stack.keys);
});
afterAll(async () => {
  await bench.stop();
  await origin.close();
});

async function relayed(call: {
  method: string;
  path?: string;
  fields?: readonly Field[];
  framing?: Framing;
  body?: string;
}) {
  const { path = "/h2", body, ...rest } = call;
  const wire = await enveloped(bench.relayUrl, { ...rest, url: origin.url + path });
  const { head } = await EdgeCall.make(bench.edge, wire, body);
  expect(head.start).toBe("HTTP/1.1 200 OK");
  const exchange = await origin.request();
  await exchange.ended;
  return exchange;
}

const pseudo = (method: string, path: string): Field[] => [
  [":path", path],
  [":scheme", "https"],
  [":method", method],
  [":authority", origin.url.slice("https://".length)],
];

describe("requests", () => {
  // HTTP/2 has no chunks, and no body is the same as an empty one: of three methods undici says so, of the others not.
  const framings: { framing: Framing; body?: string; line: (method: string) => Field[] }[] = [
    { framing: "none", line: (method) => (EXPECTS_BODY.has(method) ? [["content-length", "0"]] : []) },
    { framing: 0, line: (method) => (EXPECTS_BODY.has(method) ? [["content-length", "0"]] : []) },
    { framing: 5, body: "bytes", line: () => [["content-length", "5"]] },
    { framing: "chunked", body: "in chunks", line: () => [] },
    { framing: "chunked", body: "", line: () => [] },
  ];
  const EXPECTS_BODY = new Set(["POST", "PUT", "PATCH", "QUERY"]);
  for (const method of ["GET", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "QUERY", "FOO"]) {
    test.each(framings)(
      `${method} with framing $framing and body "$body"`,
      async ({ framing, body, line }) => {
        const { fields, body: seen } = await relayed({
          method,
          framing,
          ...(body !== undefined && { body }),
        });
        expect(new Map(fields.filter(([name]) => name.startsWith(":")))).toEqual(
          new Map(pseudo(method, "/h2")),
        );
        expect(fields.filter(([name]) => !name.startsWith(":"))).toEqual(line(method));
        expect([seen.whole, seen.content.toString()]).toEqual([true, body ?? ""]);
      },
    );
  }

  test.each(["/", "/%7E~%7e?a=%zz", "//two//slashes/../x", "/a%2fb?q='\"<>&&=", "/?"])(
    "the path and query %s",
    async (path) => {
      expect((await relayed({ method: "GET", path })).fields).toContainEqual([":path", path]);
    },
  );

  test.each<{ what: string; sent: readonly Field[]; seen?: readonly Field[] }>([
    {
      what: "repeats in their order, names in lower case as HTTP/2 has them",
      sent: [
        ["X-One", "1"],
        ["Accept", "a/b"],
        ["x-one", "2"],
        ["X-One", "3"],
        ["Accept", "c/d"],
      ],
      seen: [
        ["x-one", "1"],
        ["accept", "a/b"],
        ["x-one", "2"],
        ["x-one", "3"],
        ["accept", "c/d"],
      ],
    },
    { what: "twenty repeats", sent: Array.from({ length: 20 }, (_, i): Field => ["x-many", String(i)]) },
    {
      what: "several Cookie fields",
      sent: [
        ["cookie", "a=1; b=2"],
        ["x-a", "1"],
        ["cookie", "c=3"],
        ["cookie", "d=4"],
      ],
    },
    {
      what: "bytes over 0x7F",
      sent: [
        ["x-high", "\xe9\xff\x80"],
        ["x-utf8", "\xc3\xa9"],
      ],
    },
    {
      what: "an empty value and a field of 20 kB",
      sent: [
        ["x-empty", ""],
        ["x-big", "b".repeat(20_480)],
      ],
    },
    {
      what: "the target's own credentials",
      sent: [
        ["authorization", "Basic dXNlcjpwYXNz"],
        ["accept-encoding", "br"],
        ["user-agent", "me"],
      ],
    },
    {
      what: "names of objects' own",
      sent: [
        ["__proto__", "1"],
        ["constructor", "2"],
      ],
    },
    {
      what: "repeats of a name that has no letters left to tell them by: joined",
      sent: [
        ["1", "a"],
        ["1", "b"],
        ["x", "a"],
        ["x", "b"],
        ["x", "c"],
      ],
      seen: [
        ["1", "a, b"],
        ["x", "a, c"],
        ["x", "b"],
      ],
    },
  ])("fields: $what", async ({ sent, seen = sent }) => {
    const { fields } = await relayed({ method: "GET", fields: sent });
    expect(fields.filter(([name]) => !name.startsWith(":"))).toEqual(seen);
  });
});
