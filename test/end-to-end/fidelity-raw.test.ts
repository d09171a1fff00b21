import { execFile } from "node:child_process";
import { request as httpRequest } from "node:http";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Field } from "../../protocol/headers.ts";
import type { Framing } from "../../protocol/claims.ts";
import { type Bench, startBench } from "../support/fidelity.ts";
import { EdgeCall, raw, requestToken } from "../support/raw-caller.ts";
import { rawRelayed, targetFields } from "../support/raw-relayed.ts";

/** The raw form: any HTTP client with its own method and fields, and one field more. */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

describe("what is kept", () => {
  const framings: { framing: Framing; body?: string; line?: Field }[] = [
    { framing: "none" },
    { framing: 0, line: ["content-length", "0"] },
    { framing: 5, body: "bytes", line: ["content-length", "5"] },
    { framing: "chunked", body: "in chunks", line: ["transfer-encoding", "chunked"] },
  ];
  for (const method of [
    "GET",
    "HEAD",
    "OPTIONS",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "QUERY",
    "PROPFIND",
    "REPORT",
  ]) {
    test.each(framings)(`${method} with framing $framing`, async ({ framing, body, line }) => {
      bench.tls.next(async (exchange) => {
        await exchange.ended;
        await exchange.send(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${method === "HEAD" ? "" : "ok"}`);
      });
      const { start, fields, exchange } = await rawRelayed(bench, {
        method,
        framing,
        ...(body !== undefined && { body }),
      });
      expect(start).toBe(`${method} /r HTTP/1.1`);
      expect(fields).toEqual(line === undefined ? [] : [line]);
      expect([exchange.body.whole, exchange.body.content.toString()]).toEqual([true, body ?? ""]);
    });
  }

  test.each(["/%7E~%7e?a=%zz", "//two//slashes/../x", "/a%2fb?q='\"<>&&=", "/?"])(
    "the path and query %s",
    async (path) => {
      expect((await rawRelayed(bench, { method: "GET", path })).start).toBe(`GET ${path} HTTP/1.1`);
    },
  );

  test("the caller's own credentials, cookies, codings, agent; and nothing is added", async () => {
    const fields: readonly Field[] = [
      ["accept", "a/b;q=0.1"],
      ["accept-encoding", "br"],
      ["authorization", "Basic dXNlcjpwYXNz"],
      ["content-encoding", "gzip"],
      ["cookie", "a=1; b=2"],
      ["user-agent", "curl/8"],
      ["x-empty", ""],
    ];
    expect((await rawRelayed(bench, { method: "GET", fields })).fields).toEqual(fields);
    expect((await rawRelayed(bench, { method: "GET" })).fields).toEqual([]);
  });

  test("20 kB of a field each way", async () => {
    const big = "b".repeat(20_480);
    bench.tls.next((exchange) =>
      exchange.send(`HTTP/1.1 200 OK\r\nX-Big: ${big}\r\nContent-Length: 2\r\n\r\nok`),
    );
    const { fields, answer } = await rawRelayed(bench, { method: "GET", fields: [["x-big", big]] });
    expect(fields).toEqual([["x-big", big]]);
    expect(targetFields(answer.head.fields)).toContainEqual(["X-Big", big]);
  });

  test("values in UTF-8, both ways", async () => {
    const value = "\xc3\xa9\xe2\x9c\x93\xf0\x9f\x98\x80";
    bench.tls.next((exchange) =>
      exchange.send(`HTTP/1.1 200 OK\r\nX-Text: ${value}\r\nContent-Length: 2\r\n\r\nok`),
    );
    const { fields, answer } = await rawRelayed(bench, { method: "GET", fields: [["x-text", value]] });
    expect(fields).toEqual([["x-text", value]]);
    expect(targetFields(answer.head.fields)).toContainEqual(["X-Text", value]);
  });

  test.each([
    [200, "OK"],
    [299, "Odd But Fine"],
    [302, "Found"],
    [418, "I'm a teapot"],
    [502, "Bad Gateway"],
    [599, "Last"],
    [200, ""],
  ])("the answer's status %i and reason %j", async (status, reason) => {
    bench.tls.next((exchange) =>
      exchange.send(`HTTP/1.1 ${status} ${reason}\r\nContent-Length: 2\r\n\r\nok`),
    );
    const { head, body } = await EdgeCall.make(
      bench.edge,
      await raw(bench.relayUrl, { method: "GET", url: bench.tls.url }),
    );
    expect(head.start).toBe(`HTTP/1.1 ${status} ${reason}`);
    expect(body.content.toString()).toBe("ok");
    await bench.tls.request();
  });

  test.each<[string, string, string, Framing | "close"]>([
    ["a length", "Content-Length: 3\r\n\r\nabc", "abc", 3],
    ["a length of zero", "Content-Length: 0\r\n\r\n", "", 0],
    ["chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc", "chunked"],
    ["no chunk", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", "chunked"],
  ])("the answer's framing by %s", async (_what, rest, content, framing) => {
    bench.tls.next((exchange) => exchange.send(`HTTP/1.1 200 OK\r\n${rest}`));
    const { answer } = await rawRelayed(bench, { method: "GET" });
    expect(answer.head.framing).toBe(framing);
    expect([answer.body.whole, answer.body.content.toString()]).toEqual([true, content]);
  });

  test.each([
    ["204", "GET", "204 No Content", "X-A: 1\r\n"],
    ["304", "GET", "304 Not Modified", 'ETag: "x"\r\n'],
    ["HEAD", "HEAD", "200 OK", "Content-Length: 5000\r\n"],
  ])("an answer without a body: %s", async (_what, method, status, line) => {
    bench.tls.next((exchange) => exchange.send(`HTTP/1.1 ${status}\r\n${line}\r\n`));
    const { head, body } = await EdgeCall.make(
      bench.edge,
      await raw(bench.relayUrl, { method, url: bench.tls.url }),
    );
    expect(head.start).toBe(`HTTP/1.1 ${status}`);
    expect(targetFields(head.fields).map(([name, value]) => `${name}: ${value}\r\n`)).toEqual([line]);
    expect([body.whole, body.bytes]).toEqual([true, 0]);
    await bench.tls.request();
  });

  test("a coded body, with its length and several Set-Cookie", async () => {
    const bytes = gzipSync("the text".repeat(100));
    const head = `HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Encoding: gzip\r\nSet-Cookie: b=2\r\nContent-Length: ${bytes.length}\r\n\r\n`;
    bench.tls.next((exchange) => exchange.send(head, bytes));
    const { answer } = await rawRelayed(bench, { method: "GET", fields: [["Accept-Encoding", "identity"]] });
    expect(answer.head.framing).toBe(bytes.length);
    expect(answer.body.content.equals(bytes)).toBe(true);
    const cookies = answer.head.fields
      .filter(([name]) => name.toLowerCase() === "set-cookie")
      .map(([, value]) => value);
    expect(cookies).toEqual(["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"]);
    expect(answer.head.fields).toContainEqual(["Content-Encoding", "gzip"]);
  });
});

describe("by the HTTP clients that there are", () => {
  test("node:http", async () => {
    const token = await requestToken(bench.relayUrl, { htm: "PATCH", url: `${bench.tls.url}/n?x=1` });
    bench.tls.next(async (exchange) => {
      await exchange.ended;
      await exchange.send("HTTP/1.1 422 No\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nwhy");
    });
    const answer = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const request = httpRequest(`${bench.edge}/fetch`, {
        method: "PATCH",
        headers: { "Relay-Authorization": `Bearer ${token}`, "Content-Type": "a/b", "Content-Length": "4" },
      });
      request.on("error", reject).on("response", (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () => resolve({ status: response.statusCode, text }));
      });
      request.end("body");
    });
    expect(answer).toEqual({ status: 422, text: "why" });
    const { head, body } = await bench.tls.request();
    expect(head.start).toBe("PATCH /n?x=1 HTTP/1.1");
    expect(head.fields.slice(2)).toEqual([
      ["content-type", "a/b"],
      ["content-length", "4"],
    ]);
    expect(body.content.toString()).toBe("body");
  });

  const curl = (...args: string[]) =>
    new Promise<{ out: string; missing: boolean }>((resolve, reject) => {
      execFile("curl", ["--silent", "--show-error", "--max-time", "10", ...args], (error, out) => {
        if (error !== null && error.code !== "ENOENT") reject(new Error("curl failed", { cause: error }));
        else resolve({ out, missing: error !== null });
      });
    });

  test.each<{ what: string; method: string; args: string[]; fields: readonly Field[]; body: string }>([
    { what: "a GET", method: "GET", args: [], fields: [], body: "" },
    {
      what: "a body with a length",
      method: "PUT",
      args: ["-X", "PUT", "--data-binary", "a body"],
      fields: [
        ["content-type", "application/x-www-form-urlencoded"],
        ["content-length", "6"],
      ],
      body: "a body",
    },
    {
      what: "a body in chunks",
      method: "POST",
      args: [
        "-X",
        "POST",
        "-H",
        "Transfer-Encoding: chunked",
        "-H",
        "Content-Type: a/b",
        "-H",
        "Expect:",
        "--data-binary",
        "a body",
      ],
      fields: [
        ["content-type", "a/b"],
        ["transfer-encoding", "chunked"],
      ],
      body: "a body",
    },
    {
      what: "DELETE with credentials",
      method: "DELETE",
      args: ["-X", "DELETE", "-u", "me:secret"],
      fields: [["authorization", "Basic bWU6c2VjcmV0"]],
      body: "",
    },
  ])("curl, where there is one: $what", async ({ method, args, fields, body }) => {
    const token = await requestToken(bench.relayUrl, { htm: method, url: `${bench.tls.url}/curl` });
    const { out, missing } = await curl(
      "-i",
      "-A",
      "agent",
      "-H",
      "Accept:",
      "-H",
      `Relay-Authorization: Bearer ${token}`,
      ...args,
      `${bench.edge}/fetch`,
    );
    if (missing) return;
    expect(out).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\nrelay-status: target\r\n[^]*\r\n\r\nok$/i);
    const exchange = await bench.tls.request();
    expect(exchange.head.start).toBe(`${method} /curl HTTP/1.1`);
    const sent = exchange.head.fields.slice(2).filter(([name]) => name !== "user-agent");
    expect(sent).toEqual(fields);
    expect([exchange.body.whole, exchange.body.content.toString()]).toEqual([true, body]);
  });
});
