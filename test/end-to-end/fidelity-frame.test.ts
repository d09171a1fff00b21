import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Field } from "../../protocol/headers.ts";
import { type Bench, startBench } from "../support/fidelity.ts";
import { EdgeCall, enveloped, raw } from "../support/raw-caller.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

describe("no field of the caller's changes the request's frame", () => {
  const url = () => `${bench.tls.url}/frame`;
  const FRAMING: readonly Field[] = [
    ["Content-Length", "3"],
    ["content-length", "0"],
    ["Transfer-Encoding", "chunked"],
    ["Host", "other.example.com"],
    ["HOST", "other.example.com"],
    ["Connection", "X-Mine"],
    ["Keep-Alive", "timeout=5"],
    ["TE", "trailers"],
    ["Trailer", "X-Sum"],
    ["Upgrade", "websocket"],
    ["HTTP2-Settings", "AAMAAABkAAQAAP__"],
    ["Expect", "100-continue"],
    ["Proxy-Authorization", "Basic eDp5"],
    ["Proxy-Connection", "keep-alive"],
    ["Proxy-Status", "x"],
    ["Relay-Target", "https://other.example.com/"],
    ["Relay-Authorization", "Bearer x"],
    ["Relay-Anything", "x"],
  ];
  const CHARACTERS: readonly Field[] = [
    ["X-A", "a\rb"],
    ["X-A", "a\r"],
    ["X-A", "a\0b"],
    ["X-A", "a\x7fb"],
    ["X-A", "a\x01b"],
    ["X-A", " a"],
    ["X-A", "a\t"],
    ["X A", "a"],
    ["X-A\r", "a"],
    ["X-A\0", "a"],
    ["X-A ", "a"],
    ["X\xe9", "a"],
    ["(X)", "a"],
    [":authority", "other.example.com"],
    [":path", "/other"],
  ];

  test.each([...FRAMING, ...CHARACTERS])(
    "%j: %j in an envelope is refused, and nothing is dialled",
    async (name, value) => {
      const { connections } = bench.tls;
      const wire = await enveloped(bench.relayUrl, {
        method: "POST",
        url: url(),
        fields: [
          ["X-Mine", "1"],
          [name, value],
        ],
        framing: 3,
      });
      const { head, body } = await EdgeCall.make(bench.edge, wire, "abc");
      expect(head.start).toBe("HTTP/1.1 400 Bad Request");
      expect(JSON.parse(body.content.toString())).toMatchObject({ code: "fields_invalid", reached: "no" });
      expect([bench.tls.connections, bench.tls.unasked]).toEqual([connections, 0]);
    },
  );

  /** Sections that our encoder would not write. */
  test.each([
    ["a line feed in a value", "X-A:a\nX-B\n"],
    ["a line feed in a name", "X-\nA:a\n"],
    ["no last line end", "X-A:a"],
    ["a line without a colon", "X-A\n"],
    ["an empty name", ":a\n"],
    ["an empty line", "X-A:a\n\n"],
    [
      "a whole request behind a line feed",
      "X-A:a\r\n\r\nGET /other HTTP/1.1\r\nHost:other.example.com\r\n\r\n",
    ],
  ])("%s in a section is refused", async (_what, section) => {
    const { connections } = bench.tls;
    const wire = await enveloped(bench.relayUrl, { method: "GET", url: url() });
    const fields: readonly Field[] = [
      ...wire.fields,
      ["Relay-Fields-1", Buffer.from(section, "latin1").toString("base64url")],
    ];
    const { head, body } = await EdgeCall.make(bench.edge, { ...wire, fields });
    expect(head.start).toBe("HTTP/1.1 400 Bad Request");
    expect(JSON.parse(body.content.toString())).toMatchObject({ code: "fields_invalid", reached: "no" });
    expect([bench.tls.connections, bench.tls.unasked]).toEqual([connections, 0]);
  });

  test.each<Field>([
    ["Connection", "X-Mine"],
    ["Keep-Alive", "timeout=5"],
    ["TE", "trailers"],
    ["Trailer", "X-Sum"],
    ["Upgrade", "h2c"],
    ["Proxy-Authorization", "Basic eDp5"],
    ["Relay-Anything", "x"],
    ["Relay-Envelopes", "x"],
  ])("%s in a raw request ends at the edge", async (name, value) => {
    const wire = await raw(bench.relayUrl, {
      method: "GET",
      url: url(),
      fields: [
        ["X-Mine", "1"],
        [name, value],
      ],
    });
    const { head } = await EdgeCall.make(bench.edge, wire);
    expect(head.start).toBe("HTTP/1.1 200 OK");
    const exchange = await bench.tls.request();
    expect(exchange.head.fields).toEqual([
      ["host", bench.tls.host],
      ["connection", "keep-alive"],
      ["x-mine", "1"],
    ]);
  });

  test.each([
    ["a line end in the path", "/a\r\nX-B: c"],
    ["a bare line feed", "/a\nb"],
    ["a NUL", "/a\0b"],
    ["a space", "/a HTTP/1.1"],
    ["a character beyond ASCII", "/é"],
    ["a fragment", "/a#b"],
  ])("%s is refused in a URL", async (_what, path) => {
    const wire = await enveloped(bench.relayUrl, { method: "GET", url: bench.tls.url + path });
    const { body } = await EdgeCall.make(bench.edge, wire);
    expect(JSON.parse(body.content.toString())).toMatchObject({ code: "url_invalid", reached: "no" });
  });

  test.each(["GE T", "GET\r\n", "GET /x HTTP/1.1\r\nX:", "", "G\0T", "CONNECT", "connect", "TRACE"])(
    "the method %j is refused",
    async (method) => {
      const wire = await enveloped(bench.relayUrl, { method, url: url() });
      const { body } = await EdgeCall.make(bench.edge, wire);
      expect(JSON.parse(body.content.toString())).toMatchObject({ code: "token_malformed", reached: "no" });
      expect(bench.tls.unasked).toBe(0);
    },
  );
});
