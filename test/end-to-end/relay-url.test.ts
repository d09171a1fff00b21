import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Framing } from "../../protocol/claims.ts";
import type { Field } from "../../protocol/headers.ts";
import { type Bench, sleep, startBench } from "../support/fidelity.ts";
import { EdgeCall } from "../support/raw-caller.ts";
import { callUrl, newHandle, type UrlCall, urlToken } from "../support/relay-url.ts";

/** A relay URL between a program and its target: what each of them sees of the other. */

let bench: Bench;
/** Paths of relay URLs, by what they hold. */
let bases: { readonly token: string; readonly handle: string };
/** Whatever nobody may find in a log. */
const secrets: string[] = [];

beforeAll(async () => {
  bench = await startBench();
  const token = await urlToken(bench);
  const { handle } = await newHandle(bench, token);
  secrets.push(token, handle);
  bases = { token: `/r/${token}`, handle: `/r/${handle}` };
});
afterAll(() => bench.stop());

/** A call by the handle that gets as far as to the target. */
async function relayed({ path, ...call }: UrlCall) {
  const answer = await callUrl(bench.edge, { path: `${bases.handle}${path}`, ...call });
  expect(answer.field("relay-status") ?? answer.body.content.toString()).toBe("target");
  const exchange = await bench.tls.request();
  await exchange.ended;
  const [host, connection, ...fields] = exchange.head.fields;
  expect(host).toEqual(["host", bench.tls.host]);
  expect(connection![0]).toBe("connection");
  return { answer, exchange, start: exchange.head.start, fields };
}

describe.each(["token", "handle"] as const)("by a %s", (kind) => {
  test("a request goes to the target's own origin, and is marked as one of the relay's", async () => {
    const answers = [];
    for (const path of ["", "/", "?a=b", "/v1/x?y=z"]) {
      answers.push(await callUrl(bench.edge, { path: bases[kind] + path }));
      expect((await bench.tls.request()).head.start).toBe(
        `GET ${path.startsWith("/") ? path : `/${path}`} HTTP/1.1`,
      );
    }
    for (const { status, field, body } of answers) {
      expect([status, body.content.toString()]).toEqual([200, "ok"]);
      expect(field("relay-status")).toBe("target");
      expect([field("relay-node"), field("relay-egress")]).toEqual(["node-1", "127.0.0.2"]);
      expect(field("relay-timing")).toMatch(/^edge_auth;dur=/);
    }
    expect(new Set(answers.map(({ field }) => field("relay-request-id"))).size).toBe(4);
  });
});

describe("what the target sees", () => {
  // No limit to a path in this token, so that nothing has to be read of it.
  test.each([
    "/v1/%7E%7e%41?a=%zz&b=+%20",
    "/a/../b/./c/..",
    "/%2e%2e/%2E./x",
    "//two//slashes///",
    "//evil.example/x",
    "/..;/x;a=b",
    "/%2f%5C/%00%ff",
    "/%/%0/%zz",
    "/@evil.example:443/x",
    "/'!~*()[]{}|^\":@$&+,;=",
    "/x?",
    "/x??a?/../b//c",
    "/x?'!~*()[]{}|^`\\:@$&+,;=/",
    "/r/x/r/y",
  ])("the path and query %s", async (path) => {
    expect((await relayed({ path })).start).toBe(`GET ${path} HTTP/1.1`);
  });

  const framings: { framing: Framing; body?: string; line?: Field }[] = [
    { framing: "none" },
    { framing: 0, line: ["content-length", "0"] },
    { framing: 5, body: "bytes", line: ["content-length", "5"] },
    { framing: "chunked", body: "in chunks", line: ["transfer-encoding", "chunked"] },
  ];
  describe.each(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND", "PURGE"])(
    "%s",
    (method) => {
      test.each(framings)("with framing $framing", async ({ framing, body, line }) => {
        bench.tls.next(async (exchange) => {
          await exchange.ended;
          await exchange.send(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${method === "HEAD" ? "" : "ok"}`);
        });
        const call = { method, framing, ...(body !== undefined && { body }) };
        const { start, fields, exchange } = await relayed({ path: "/m", ...call });
        expect(start).toBe(`${method} /m HTTP/1.1`);
        expect(fields).toEqual(line === undefined ? [] : [line]);
        expect([exchange.body.whole, exchange.body.content.toString()]).toEqual([true, body ?? ""]);
      });
    },
  );

  test("the program's own fields and nothing else, the relay's own among them", async () => {
    const kept: Field[] = [
      ["accept", "*/*"],
      ["authorization", "Bearer sk-test"],
      ["cookie", "a=1"],
      ["origin", "https://app.example.com"],
      ["referer", "https://app.example.com/page"],
      ["sec-fetch-mode", "cors"],
    ];
    const dropped: Field[] = [
      ["Relay-Authorization", "Bearer x"],
      ["Relay-Envelope", "1"],
      ["Relay-Target", "https://other.example"],
      ["X-Forwarded-For", "203.0.113.1"],
      ["Upgrade", "h2c"],
    ];
    expect((await relayed({ path: "/f", fields: [...dropped, ...kept] })).fields).toEqual(kept);
  });

  test.each<[string, (edge: string) => Field]>([
    ["a Referer of the edge's", (edge) => ["Referer", `${edge}/docs`]],
    ["a Referer that is a relay URL", (edge) => ["Referer", `${edge}/r/hf_another/v1`]],
    ["a Referer by TLS", (edge) => ["Referer", `${edge.replace("http:", "https:")}/x`]],
    ["the edge's Origin", (edge) => ["Origin", edge]],
    ["the edge's Origin in capitals", (edge) => ["Origin", edge.toUpperCase()]],
    ["a field of a proxy's with the URL in it", () => ["X-Original-URL", `${bases.handle}/v1`]],
    ["a WebDAV Destination", (edge) => ["Destination", `${edge}${bases.handle}/v1`]],
  ])("%s is dropped", async (_what, field) => {
    expect((await relayed({ path: "/f", fields: [field(bench.edge)] })).fields).toEqual([]);
  });
});

describe("what the program sees", () => {
  /** Answers the next request with these lines. */
  const answers = (status: string, lines: readonly string[]) =>
    bench.tls.next((exchange) =>
      exchange.send([`HTTP/1.1 ${status}`, ...lines, "Content-Length: 2", "", "ok"].join("\r\n")),
    );

  /** TARGET is the target's origin, EDGE its relay URL. */
  const LOCATIONS: readonly [said: string, seen: string][] = [
    ["TARGET/v1/x?y=z#part", "EDGE/v1/x?y=z#part"],
    ["TARGET", "EDGE/"],
    ["/v1/%7Ex", "EDGE/v1/%7Ex"],
    ["x", "EDGE/deep/x"],
    ["?page=2", "EDGE/deep/er?page=2"],
    ["../../../../admin", "EDGE/admin"],
    ["/../../admin/clients", "EDGE/admin/clients"],
    ["/%2e%2e/%2E%2e/admin", "EDGE/admin"],
    ["..\\..\\..\\admin", "EDGE/admin"],
    ["//AUTHORITY/x", "EDGE/x"],
    ["https:x", "EDGE/deep/x"],
    ["https://user:secret@AUTHORITY/x", "EDGE/x"],
    ["//other.example/x", "//other.example/x"],
    ["/\\other.example/x", "/\\other.example/x"],
    ["https://other.example/%7E?q='", "https://other.example/%7E?q='"],
    ["http://AUTHORITY/x", "http://AUTHORITY/x"],
    ["https://AUTHORITY.other.example/", "https://AUTHORITY.other.example/"],
    ["mailto:a@b", "mailto:a@b"],
  ];
  test.each(LOCATIONS)("Location: %s becomes %s", async (said, seen) => {
    const filled = (text: string) =>
      text
        .replace("TARGET", bench.tls.url)
        .replace("AUTHORITY", bench.tls.host)
        .replace("EDGE", bench.edge + bases.handle);
    answers("302 Found", [`Location: ${filled(said)}`, `Content-Location: ${filled(said)}`]);
    const { answer } = await relayed({ path: "/deep/er?page=1" });
    expect(answer.status).toBe(302);
    expect([answer.all("location"), answer.all("content-location")]).toEqual([
      [filled(seen)],
      [filled(seen)],
    ]);
  });

  test("nothing of the target's that would act on the edge's origin, and a sandbox besides its own", async () => {
    answers("200 OK", [
      "Service-Worker-Allowed: /",
      'Clear-Site-Data: "*"',
      "Strict-Transport-Security: max-age=1",
      'Alt-Svc: h3=":443"',
      "Content-Security-Policy: script-src 'self'",
      "Referrer-Policy: unsafe-url",
      "Access-Control-Allow-Origin: *",
      "Link: <https://x.example/>; rel=next",
    ]);
    const { answer } = await relayed({ path: "/h" });
    const names = answer.head.fields.map(([name]) => name.toLowerCase());
    for (const name of [
      "service-worker-allowed",
      "clear-site-data",
      "strict-transport-security",
      "alt-svc",
    ]) {
      expect(names).not.toContain(name);
    }
    const policies = answer.all("content-security-policy").join(", ");
    expect(policies).toBe("script-src 'self', sandbox; default-src 'none'; frame-ancestors 'none'");
    expect(answer.all("referrer-policy").join(", ")).toBe("unsafe-url, no-referrer");
    expect(answer.field("access-control-allow-origin")).toBe("*");
    expect(answer.field("link")).toBe("<https://x.example/>; rel=next");
  });

  test("a sandbox also where the relay failed after it let the program in", async () => {
    bench.tls.next((exchange) => exchange.send("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"));
    const answer = await callUrl(bench.edge, { path: `${bases.handle}/broken` });
    await bench.tls.request();
    expect(answer.field("relay-error")).toBe("target_protocol");
    expect(answer.field("content-security-policy")).toMatch(/^sandbox/);
    expect(answer.field("referrer-policy")).toBe("no-referrer");
  });

  test("cookies that are bound to the relay URL and the edge's host", async () => {
    answers("200 OK", [
      "Set-Cookie: a=1; Path=/; Secure; HttpOnly",
      "Set-Cookie: b=2; Domain=localhost; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
      "Set-Cookie: c=3; Domain=other.example",
    ]);
    const { answer } = await relayed({ path: "/v1/login" });
    expect(answer.all("set-cookie")).toEqual([
      `a=1; Secure; HttpOnly; Path=${bases.handle}`,
      `b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=${bases.handle}/v1`,
    ]);
  });

  test.each([204, 304, 418, 500, 599])("the target's status %i", async (status) => {
    bench.tls.next((exchange) =>
      exchange.send(`HTTP/1.1 ${status} So\r\n${status < 400 ? "" : "Content-Length: 0\r\n"}\r\n`),
    );
    expect((await relayed({ path: "/s" })).answer.head.start).toBe(`HTTP/1.1 ${status} So`);
  });
});

describe("bodies", () => {
  const MEGABYTE = Buffer.alloc(1_048_576, "0123456789abcdef").toString();

  test.each<[string, Framing]>([
    ["with a length", MEGABYTE.length],
    ["in chunks", "chunked"],
  ])("a megabyte up and down, %s", async (_what, framing) => {
    const head = framing === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${framing}`;
    bench.tls.next(async (exchange) => {
      await exchange.ended;
      const content = exchange.body.content.toString();
      const size = content.length.toString(16);
      const body = framing === "chunked" ? `${size}\r\n${content}\r\n0\r\n\r\n` : content;
      await exchange.send(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`);
    });
    const { answer, exchange } = await relayed({ method: "POST", path: "/big", framing, body: MEGABYTE });
    expect([exchange.head.framing, answer.head.framing]).toEqual([framing, framing]);
    expect([exchange.body.whole, answer.body.whole]).toEqual([true, true]);
    expect(answer.body.content.toString() === MEGABYTE).toBe(true);
  });

  test("stream: each end hears the other before either is done", async () => {
    const wire = { method: "POST", fields: [], framing: "chunked" } as const;
    const call = await EdgeCall.begin(bench.edge, wire, `${bases.handle}/stream`);
    bench.tls.next(() => {});
    await call.send("first");
    const exchange = await bench.tls.request();
    await exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nback\r\n");
    await call.head;
    while (call.body.bytes < 4) await sleep(5);
    expect(exchange.body.content.toString()).toBe("first");
    await call.send("second");
    while (exchange.body.bytes < 11) await sleep(5);
    call.finish();
    await exchange.ended;
    await exchange.send("0\r\n\r\n");
    await call.ended;
    expect([exchange.body.whole, call.body.whole]).toEqual([true, true]);
    call.destroy();
  });

  test("one that the program cuts never arrives whole", async () => {
    const wire = { method: "POST", fields: [], framing: 1_000_000 } as const;
    const call = await EdgeCall.begin(bench.edge, wire, `${bases.handle}/cut`);
    bench.tls.next(() => {});
    await call.send("x".repeat(200_000));
    const exchange = await bench.tls.request();
    call.reset();
    await exchange.closed;
    expect(exchange.body.whole).toBe(false);
  });
});

test.each([
  ["/seen/%7Ea//b/../%2e%2e?c=/%zz", "/seen/%7Ea//b/../%2e%2e?c=/%zz"],
  [`/seen/${"x".repeat(300)}`, `/seen/${"x".repeat(250)}`],
])("%s tells how it came", async (path, told) => {
  const { status, body, field } = await callUrl(bench.edge, { path });
  expect([status, JSON.parse(body.content.toString())]).toEqual([200, { path: told }]);
  expect(field("x-content-type-options")).toBe("nosniff");
});

test("no log has the token, the handle, or a path", async () => {
  await callUrl(bench.edge, { path: `${bases.token}/private-path?private-query` });
  await bench.tls.request();
  await callUrl(bench.edge, { path: `${bases.handle.slice(0, -1)}x/private-path` });
  const { logs } = bench.stack;
  for (const file of [logs.edge, logs.node("node-1")]) {
    const text = readFileSync(file, "utf8");
    for (const secret of [...secrets, "private-"]) expect(text.includes(secret)).toBe(false);
  }
});
