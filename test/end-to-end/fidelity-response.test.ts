import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Field } from "../../protocol/headers.ts";
import { answered, says } from "../support/answered.ts";
import { type Bench, sleep, startBench } from "../support/fidelity.ts";

/** What our client sees of the head of an answer that a target wrote byte for byte. */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

describe("status and reason", () => {
  test.each([
    [200, "OK"],
    [299, "Odd But Fine"],
    [302, "Found"],
    [400, "Bad Request"],
    [418, "I'm a teapot"],
    [502, "Bad Gateway"],
    [599, "Last of the known"],
    [600, "First beyond"],
    [999, "Nine nine nine"],
    [200, ""],
    [200, "d\xe9j\xe0 vu \x80\xff"],
    [200, "\xe6\x88\x90\xe5\x8a\x9f"],
    [200, "tab\tand  spaces"],
  ])("%i %s", async (status, reason) => {
    const { response, fields } = await answered(
      bench,
      says(`HTTP/1.1 ${status} ${reason}\r\nContent-Length: 4\r\n\r\nbody`),
      { redirect: "manual" },
    );
    expect([response.status, response.statusText]).toEqual([status, reason]);
    expect(response.ok).toBe(status < 300);
    expect(fields).toEqual([["Content-Length", "4"]]);
    expect(await response.text()).toBe("body");
  });

  test("a status line without a reason, and without the space before it", async () => {
    const { response } = await answered(bench, says("HTTP/1.1 203\r\nContent-Length: 2\r\n\r\nok"));
    expect([response.status, response.statusText]).toEqual([203, ""]);
  });

  test("a reason that comes in pieces is one", async () => {
    const { response } = await answered(bench, async (exchange) => {
      for (const piece of ["HTT", "P/1.1 2", "01 One ", "Tw", "o\r", "\nContent-Length: 2\r\n\r\nok"]) {
        await exchange.send(piece);
        await sleep(10);
      }
    });
    expect([response.status, response.statusText]).toEqual([201, "One Two"]);
  });

  test("an answer of HTTP/1.0", async () => {
    const { response, fields } = await answered(bench, async (exchange) => {
      await exchange.send("HTTP/1.0 200 Fine\r\nX-A: 1\r\n\r\nuntil the end");
      exchange.finish();
    });
    expect(response.statusText).toBe("Fine");
    expect(fields).toEqual([["X-A", "1"]]);
    expect(await response.text()).toBe("until the end");
  });
});

describe("fields", () => {
  const HIGH = String.fromCharCode(...Array.from({ length: 128 }, (_, i) => 0x80 + i));
  test.each<{ what: string; fields: readonly Field[] }>([
    {
      what: "repeats in their order and case",
      fields: [
        ["X-B", "1"],
        ["x-a", "2"],
        ["X-b", "3"],
        ["X-B", "1"],
      ],
    },
    {
      what: "several Set-Cookie",
      fields: [
        ["Set-Cookie", "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT"],
        ["X", "y"],
        ["set-cookie", "b=2"],
        ["Set-Cookie", "a=3"],
      ],
    },
    {
      what: "bytes over 0x7F",
      fields: [
        ["X-High", HIGH],
        ["Content-Disposition", 'attachment; filename="\xc3\xa9.pdf"'],
      ],
    },
    {
      what: "empty values, commas, tabs",
      fields: [
        ["X-Empty", ""],
        ["X-Comma", ",a,,b"],
        ["X-Tab", "a\tb"],
      ],
    },
    {
      what: "every character of a name",
      fields: [
        ["!#$%&'*+-.^_`|~09azAZ", "x"],
        ["__proto__", "y"],
      ],
    },
    { what: "a field of 20 kB", fields: [["X-Big", "b".repeat(20_480)]] },
    {
      what: "120 kB of fields",
      fields: Array.from({ length: 120 }, (_, i): Field => [`X-Many-${i}`, "m".repeat(980)]),
    },
    {
      what: "what proxies say",
      fields: [
        ["Server", "x"],
        ["Via", "1.1 y"],
        ["Date", "now"],
        ["Alt-Svc", 'h3=":443"'],
        ["CF-Ray", "1"],
        ["Server-Timing", "a;dur=1"],
      ],
    },
    {
      what: "what asks a cache or CDN to do something",
      fields: [
        ["Cache-Control", "public, max-age=9"],
        ["Vary", "*"],
        ["Age", "3"],
        ["CDN-Cache-Control", "x"],
      ],
    },
  ])("$what", async ({ fields }) => {
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const { response, fields: got } = await answered(
      bench,
      says(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nok`),
    );
    expect(got).toEqual([...fields, ["Content-Length", "2"]]);
    expect(response.headers.getSetCookie()).toEqual(
      fields.filter(([name]) => /^set-cookie$/i.test(name)).map(([, value]) => value),
    );
    expect(await response.text()).toBe("ok");
  });

  test("those of the target's connection end at the node, with all that Connection names", async () => {
    const head =
      "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: x\r\nUpgrade: h2c\r\n" +
      "Trailer: X-Sum\r\nProxy-Authenticate: Basic\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok";
    const { fields } = await answered(bench, says(head));
    expect(fields).toEqual([
      ["X-Stays", "1"],
      ["Content-Length", "2"],
    ]);
  });

  test("without white space after the colon, and with much of it", async () => {
    const { fields } = await answered(
      bench,
      says("HTTP/1.1 200 OK\r\nA:b\r\nC:  \t d\r\nContent-Length:2\r\n\r\nok"),
    );
    expect(fields).toEqual([
      ["A", "b"],
      ["C", "d"],
      ["Content-Length", "2"],
    ]);
  });
});
