import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { createRelay, isRelayError, type Relay, relayInfo, RelayError } from "../../client/index.ts";
import { digestOf } from "../../protocol/tokens.ts";
import { type FakeEdge, sendError, startFakeEdge, writeHead } from "../support/fake-edge.ts";
import { type Origin, startOrigin } from "./origin.ts";

let edge: FakeEdge;
let origin: Origin;
let relay: Relay;

beforeAll(async () => {
  edge = await startFakeEdge();
  origin = await startOrigin((got, response) => {
    const status = Number(/^\/status\/([0-9]+)/.exec(got.url)?.[1] ?? 200);
    response.writeHead(status, { "Content-Type": "text/plain" });
    response.end(status === 204 || status === 304 ? undefined : `${got.method} ${got.body.toString()}`);
  });
  relay = createRelay(edge.url);
});
afterAll(async () => {
  await edge.close();
  await origin.close();
});
afterEach(() => {
  edge.reset();
  origin.got.length = 0;
});

/** The error that a promise is rejected with. */
const failure = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
};
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a request", () => {
  test("is signed with its method, URL and framing", async () => {
    const response = await relay.fetch(`${origin.url}/a/../b?q=%zz#part`);
    expect(await response.text()).toBe("GET ");
    const { claims } = edge.seen[0]!;
    expect(claims).toMatchObject({ iss: "app", aud: edge.origin, act: "fetch", htm: "GET", framing: "none" });
    expect(claims.url).toBe(`${origin.url}/b?q=%zz`);
    expect(claims.exp - claims.iat).toBe(60);
    expect(claims.digest).toBeUndefined();
    expect(claims.node).toBeUndefined();
    expect(claims.idempotent).toBeUndefined();
  });

  test("carries several nodes' ids, and that it may be repeated", async () => {
    const pinned = createRelay(edge.url, { node: ["fra-1", "fra-2"], idempotent: true });
    await (await pinned.fetch(origin.url, { method: "POST" })).text();
    expect(edge.seen[0]!.claims).toMatchObject({ node: ["fra-1", "fra-2"], idempotent: true });
  });

  test("carries a node's id and the clock that were given", async () => {
    const pinned = createRelay(edge.url, { node: "fra-1", now: () => Date.now() - 3000 });
    await (await pinned.fetch(origin.url)).text();
    const { claims } = edge.seen[0]!;
    expect(claims.node).toBe("fra-1");
    expect(Math.abs(claims.iat - Date.now() / 1000 + 3)).toBeLessThan(2);
  });

  test("is signed with ES256 where the key is of that kind", async () => {
    const other = await startFakeEdge("ES256");
    try {
      expect((await createRelay(other.url).fetch(origin.url)).status).toBe(200);
    } finally {
      await other.close();
    }
  });

  const bytes = new Uint8Array([0, 1, 254, 255]);
  const form = new FormData();
  form.append("file", new Blob(["content"], { type: "text/csv" }), "a.csv");
  const bodies: { name: string; body: BodyInit; type: string | undefined; sent?: string; length?: number }[] =
    [
      {
        name: "a string",
        body: "h\u00e9llo",
        type: "text/plain;charset=UTF-8",
        sent: "h\u00e9llo",
        length: 6,
      },
      { name: "an empty string", body: "", type: "text/plain;charset=UTF-8", length: 0 },
      { name: "bytes", body: bytes, type: undefined, length: 4 },
      { name: "a view", body: bytes.subarray(1, 3), type: undefined, length: 2 },
      { name: "an ArrayBuffer", body: bytes.buffer, type: undefined, length: 4 },
      {
        name: "a Blob",
        body: new Blob(["ab"], { type: "image/png" }),
        type: "image/png",
        sent: "ab",
        length: 2,
      },
      {
        name: "URLSearchParams",
        body: new URLSearchParams({ a: "1 2" }),
        type: "application/x-www-form-urlencoded;charset=UTF-8",
        sent: "a=1+2",
      },
      { name: "a form", body: form, type: "multipart/form-data; boundary=" },
    ];
  test.each(bodies)("has $name for its body", async ({ body, type, sent, length }) => {
    await (await relay.fetch(origin.url, { method: "POST", body })).text();
    const [seen] = edge.seen;
    const [got] = origin.got;
    expect(seen!.claims.framing).toBe(length ?? got!.body.length);
    expect(seen!.claims.digest).toBe(await digestOf(new Uint8Array(got!.body)));
    expect(got!.headers["content-length"]).toBe(String(got!.body.length));
    if (sent !== undefined) expect(got!.body.toString()).toBe(sent);
    if (type === undefined) expect(got!.headers["content-type"]).toBeUndefined();
    else expect(got!.headers["content-type"]?.startsWith(type)).toBe(true);
  });

  test("with a large Blob has a length and no digest", async () => {
    const blob = new Blob([new Uint8Array(17_000_000)]);
    await (await relay.fetch(origin.url, { method: "PUT", body: blob })).text();
    expect(edge.seen[0]!.claims).toMatchObject({ framing: 17_000_000 });
    expect(edge.seen[0]!.claims.digest).toBeUndefined();
  });

  test.each([
    ["POST", 0, "0"],
    ["PUT", 0, "0"],
    ["PATCH", "none", undefined],
    ["DELETE", "none", undefined],
    ["HEAD", "none", undefined],
  ])("without a body frames %s as fetch does", async (method, framing, length) => {
    await (await relay.fetch(origin.url, { method })).text();
    expect(edge.seen[0]!.claims.framing).toBe(framing);
    expect(origin.got[0]!.headers["content-length"]).toBe(length);
  });

  test("folds the methods that fetch folds, and no others", async () => {
    await (await relay.fetch(origin.url, { method: "post", body: "" })).text();
    await (await relay.fetch(origin.url, { method: "patch", body: "" })).text().catch(() => {});
    expect(edge.seen.map(({ claims }) => claims.htm)).toEqual(["POST", "patch"]);
  });

  test("streams a stream in chunks", async () => {
    const stream = new ReadableStream({
      async pull(controller) {
        await wait(5);
        controller.enqueue(new TextEncoder().encode("part "));
        controller.close();
      },
    });
    const init = { method: "POST", body: stream, duplex: "half" } as RequestInit;
    expect(await (await relay.fetch(origin.url, init)).text()).toBe("POST part ");
    expect(edge.seen[0]!.claims.framing).toBe("chunked");
    expect(origin.got[0]!.headers["transfer-encoding"]).toBe("chunked");
  });

  test("takes an async iterable, as Node's fetch does", async () => {
    async function* parts(): AsyncGenerator<Uint8Array> {
      yield new TextEncoder().encode("one ");
      yield new TextEncoder().encode("two");
    }
    const init = { method: "POST", body: parts() as unknown as BodyInit };
    expect(await (await relay.fetch(origin.url, init)).text()).toBe("POST one two");
  });

  test("fails as fetch does where the caller's stream fails, and the edge sees a cut", async () => {
    const cause = new RangeError("mine");
    let n = 0;
    const body = new ReadableStream({
      async pull(controller) {
        await wait(10);
        if (n++ < 2) controller.enqueue(new Uint8Array(3));
        else throw cause;
      },
    });
    const error = await failure(
      relay.fetch(origin.url, { method: "POST", body, duplex: "half" } as RequestInit),
    );
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).cause).toBe(cause);
    await expect.poll(() => edge.seen[0]?.cut).toBe(true);
    expect(origin.got).toEqual([]);
  });

  test("may be a Request object, whose small body is sent with a length", async () => {
    const request = new Request(`${origin.url}/r`, { method: "PUT", body: "abc", headers: { "x-a": "1" } });
    await (await relay.fetch(request)).text();
    expect(origin.got[0]).toMatchObject({ method: "PUT", url: "/r" });
    expect(origin.got[0]!.headers).toMatchObject({
      "x-a": "1",
      "content-length": "3",
      "content-type": "text/plain;charset=UTF-8",
    });
    expect(edge.seen[0]!.claims.digest).toBeDefined();
  });

  test("may be a Request object with a large body, which streams", async () => {
    const body = new Uint8Array(3_000_000).fill(7);
    await (await relay.fetch(new Request(origin.url, { method: "POST", body }))).text();
    expect(edge.seen[0]!.claims.framing).toBe("chunked");
    expect(origin.got[0]!.body.equals(body)).toBe(true);
  });

  test("may be a Request object whose stream fails, which sends nothing", async () => {
    const cause = new RangeError("mine");
    const body = new ReadableStream({
      pull() {
        throw cause;
      },
    });
    const request = new Request(origin.url, { method: "POST", body, duplex: "half" } as RequestInit);
    const error = await failure(relay.fetch(request));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).cause).toBe(cause);
    expect(edge.seen).toEqual([]);
  });

  test("may be a Request object that an init overrides", async () => {
    const request = new Request(origin.url, { method: "PUT", body: "abc", headers: { "x-a": "1" } });
    await (await relay.fetch(request, { method: "POST", body: "new", headers: { "x-b": "2" } })).text();
    const [got] = origin.got;
    expect(got!.method).toBe("POST");
    expect(got!.body.toString()).toBe("new");
    expect(got!.headers["x-a"]).toBeUndefined();
    expect(got!.headers["x-b"]).toBe("2");
  });

  test("keeps fields as they were written: case, order, repeats, bytes beyond ASCII", async () => {
    await relay.fetch(origin.url, {
      headers: [
        ["X-Second", "2"],
        ["x-first", " \t1 "],
        ["X-Second", "3"],
        ["X-Latin", "caf\u00e9"],
        ["User-Agent", "mine"],
        ["Accept", "a/b"],
      ],
    });
    expect(edge.seen[0]!.fields).toEqual([
      ["X-Second", "2"],
      ["x-first", "1"],
      ["X-Second", "3"],
      ["X-Latin", "caf\u00e9"],
      ["User-Agent", "mine"],
      ["Accept", "a/b"],
      ["accept-encoding", "gzip, deflate, br"],
    ]);
  });

  test("gets the fields that a native fetch adds", async () => {
    await relay.fetch(origin.url);
    expect(edge.seen[0]!.fields).toEqual([
      ["accept", "*/*"],
      ["user-agent", "holdfast"],
      ["accept-encoding", "gzip, deflate, br"],
    ]);
    await relay.fetch(origin.url, { headers: { range: "bytes=0-1" } });
    expect(edge.seen[1]!.fields).toContainEqual(["accept-encoding", "identity"]);
    await createRelay(edge.url, { decompress: false }).fetch(origin.url);
    expect(edge.seen[2]!.fields.map(([name]) => name)).not.toContain("accept-encoding");
  });

  test("loses the fields that fetch forbids", async () => {
    const headers = {
      Host: "else",
      "Content-Length": "99",
      connection: "close",
      "Transfer-Encoding": "x",
      "Keep-Alive": "1",
    };
    await relay.fetch(origin.url, { method: "POST", body: "ab", headers: { ...headers, "x-a": "1" } });
    expect(edge.seen[0]!.fields.map(([name]) => name)).toEqual([
      "x-a",
      "accept",
      "user-agent",
      "accept-encoding",
      "content-type",
    ]);
  });

  test.each<[string, Record<string, string>]>([
    ["a name that is no token", { "a b": "1" }],
    ["a line break", { a: "1\r\nb: 2" }],
    ["a character beyond Latin-1", { a: "\u20ac" }],
    ["a field of the relay's", { "Relay-Authorization": "x" }],
    ["a field for proxies", { "Proxy-Authorization": "x" }],
  ])("is refused with %s, before anything is sent", async (_, headers) => {
    const error = await failure(relay.fetch(origin.url, { headers }));
    expect(error).toMatchObject({ name: "RelayError", code: "fields_invalid", reached: "no" });
    expect(edge.seen).toEqual([]);
  });

  test.each<[string, string, RequestInit]>([
    ["a body with GET", "/", { body: "x" }],
    ["the method TRACE", "/", { method: "TRACE" }],
    ["a method that is no token", "/", { method: "A B" }],
    ["an unknown redirect mode", "/", { redirect: "maybe" as RequestRedirect }],
  ])("throws a TypeError as fetch does for %s", async (_, path, init) => {
    expect(await failure(relay.fetch(origin.url + path, init))).toBeInstanceOf(TypeError);
  });

  test("throws a TypeError for what is no URL, and url_invalid for what the relay can't reach", async () => {
    expect(await failure(relay.fetch("/relative"))).toBeInstanceOf(TypeError);
    for (const url of [
      "data:text/plain,hi",
      "ftp://a.example/",
      "https://a:b@a.example/",
      "https://a.example./",
    ]) {
      expect(await failure(relay.fetch(url))).toMatchObject({ code: "url_invalid", reached: "no" });
    }
  });

  test("with integrity is refused", async () => {
    expect(await failure(relay.fetch(origin.url, { integrity: "sha256-x" }))).toMatchObject({
      code: "request_invalid",
    });
  });
});

describe("a response", () => {
  test.each([false, true])("is the target's, fields in front of the body: %s", async (inBody) => {
    edge.fieldsInBody = inBody;
    const response = await relay.fetch(`${origin.url}/status/404#x`);
    expect(response).toBeInstanceOf(Response);
    expect([response.status, response.statusText, response.ok]).toEqual([404, "Not Found", false]);
    expect([response.url, response.redirected]).toEqual([`${origin.url}/status/404`, false]);
    expect(await response.text()).toBe("GET ");
    const info = relayInfo(response)!;
    expect(info).toMatchObject({
      node: "node-a",
      egress: "203.0.113.7",
      timing: { edge: 1.2, dns: 0.4, connect: 12 },
    });
    expect(info.requestId).toBe(edge.seen[0]!.claims.jti);
    expect(info.fields[0]).toEqual(["Content-Type", "text/plain"]);
    expect(relayInfo(new Response())).toBeUndefined();
  });

  test("keeps repeats and Latin-1, and nothing of the wire's", async () => {
    edge.next((_, response) => {
      writeHead(response, {
        status: 200,
        reason: "Tr\u00e8s bien",
        fields: [
          ["Set-Cookie", "a=1"],
          ["X-B", "\u00ff"],
          ["Set-Cookie", "b=2, c"],
        ],
      });
      response.end("x");
    });
    const response = await relay.fetch(origin.url);
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2, c"]);
    expect(response.headers.get("x-b")).toBe("\u00ff");
    expect(response.statusText).toBe("Tr\u00e8s bien");
    expect([...response.headers.keys()]).toEqual(["set-cookie", "set-cookie", "x-b"]);
  });

  test("has fields beyond what any runtime takes in headers", async () => {
    const fields = Array.from({ length: 100 }, (_, i) => [`x-${i}`, "v".repeat(1000)] as const);
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields });
      response.end("body");
    });
    const response = await relay.fetch(origin.url);
    expect(response.headers.get("x-99")).toBe("v".repeat(1000));
    expect(await response.text()).toBe("body");
  });

  test.each([600, 999])("may have the status %i", async (status) => {
    edge.next((_, response) => {
      writeHead(response, { status });
      response.end("odd");
    });
    const response = await relay.fetch(origin.url);
    const clone = response.clone();
    expect([response.status, response.ok, clone.status, clone.url]).toEqual([
      status,
      false,
      status,
      `${origin.url}/`,
    ]);
    expect(relayInfo(clone)?.node).toBe("node-a");
    expect(await response.text()).toBe("odd");
    expect(() => new Response(clone.body, clone)).toThrow(RangeError);
  });

  test.each([
    ["GET", "/status/204"],
    ["GET", "/status/304"],
    ["GET", "/status/205"],
    ["HEAD", "/"],
  ])("has no body for %s %s", async (method, path) => {
    const response = await relay.fetch(origin.url + path, { method });
    expect(response.body).toBeNull();
    expect(await response.text()).toBe("");
  });

  test("streams", async () => {
    const gate = Promise.withResolvers<void>();
    edge.next(async (_, response) => {
      writeHead(response, { status: 200 });
      response.write("one");
      await gate.promise;
      response.end("two");
    });
    const response = await relay.fetch(origin.url);
    const reader = response.body!.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe("one");
    gate.resolve();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe("two");
    expect((await reader.read()).done).toBe(true);
  });

  test("is read by BYOB readers too, to its end", async () => {
    const response = await relay.fetch(origin.url, { method: "POST", body: "abc" });
    const reader = response.body!.getReader({ mode: "byob" });
    let text = "";
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(3));
      if (done) break;
      text += Buffer.from(value).toString();
    }
    expect(text).toBe("POST abc");
  });

  test("whose body is cancelled closes the connection", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200 });
      response.write("one");
    });
    const before = edge.closedEarly();
    const response = await relay.fetch(origin.url);
    await response.body!.cancel();
    await expect.poll(() => edge.closedEarly()).toBe(before + 1);
  });

  test("can be nothing but its own: concurrent calls do not mix", async () => {
    const calls = Array.from({ length: 40 }, (_, i) =>
      relay.fetch(origin.url, { method: "POST", body: `n${i}` }),
    );
    const texts = await Promise.all(calls.map(async (call) => (await call).text()));
    expect(texts).toEqual(calls.map((_, i) => `POST n${i}`));
  });
});

describe("a cut answer", () => {
  const length = ["Content-Length", "10"] as const;
  test("that ends before its Content-Length is an error", async () => {
    for (const inBody of [false, true]) {
      edge.next((_, response) => {
        writeHead(response, { status: 200, fields: [length] }, { inBody });
        response.end("short");
      });
      const response = await relay.fetch(origin.url);
      const error = await failure(response.text());
      expect(error).toMatchObject({ code: "answer_cut", reached: "yes", node: "node-a" });
    }
  });

  test("that is longer than its Content-Length is an error", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [length] });
      response.end("much longer than ten");
    });
    expect(await failure((await relay.fetch(origin.url)).text())).toMatchObject({ code: "answer_cut" });
  });

  test("that has no body at all where a length was told is an error", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [length] });
      response.end();
    });
    expect(await failure(relay.fetch(origin.url).then((response) => response.text()))).toMatchObject({
      code: "answer_cut",
    });
  });

  test.each([false, true])("whose connection breaks is an error, gzip: %s", async (gzip) => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: gzip ? [["content-encoding", "gzip"]] : [] });
      response.write(gzip ? gzipSync(Buffer.alloc(100_000, "abcdefg")).subarray(0, 60) : "half");
      setTimeout(() => response.destroy(), 20);
    });
    const error = await failure((await relay.fetch(origin.url)).text());
    expect(error).toMatchObject({ name: "RelayError", code: "answer_cut" });
    expect((error as Error).cause).toBeDefined();
  });

  test("that ends within the target's fields is an error", async () => {
    edge.next((_, response) => {
      response.writeHead(200, { "Relay-Status": "target", "Relay-Envelope": "1; body=500" });
      response.end(":status:200\n");
    });
    expect(await failure(relay.fetch(origin.url))).toMatchObject({ code: "answer_cut" });
  });
});

describe("content codings", () => {
  const text = "the same text again and again, ".repeat(100);
  const cases: [string, Buffer][] = [
    ["gzip", gzipSync(text)],
    ["x-gzip", gzipSync(text)],
    ["deflate", deflateSync(text)],
    ["deflate", deflateRawSync(text)],
    ["br", brotliCompressSync(text)],
    ["gzip, br", brotliCompressSync(gzipSync(text))],
    ["identity", Buffer.from(text)],
  ];
  test.each(cases)("%s is undone, and the fields stay", async (coding, body) => {
    edge.next((_, response) => {
      writeHead(response, {
        status: 200,
        fields: [
          ["Content-Encoding", coding],
          ["Content-Length", String(body.length)],
        ],
      });
      response.end(body);
    });
    const response = await relay.fetch(origin.url);
    expect(await response.text()).toBe(text);
    expect(response.headers.get("content-encoding")).toBe(coding);
    expect(response.headers.get("content-length")).toBe(String(body.length));
  });

  test("that are unknown stay as they are", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [["Content-Encoding", "gzip, secret"]] });
      response.end("coded");
    });
    expect(await (await relay.fetch(origin.url)).text()).toBe("coded");
  });

  test("are left alone where the caller says so", async () => {
    const body = gzipSync(text);
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [["Content-Encoding", "gzip"]] });
      response.end(body);
    });
    const response = await createRelay(edge.url, { decompress: false }).fetch(origin.url);
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
  });

  test("on an empty body leave it empty", async () => {
    edge.next((_, response) => {
      writeHead(response, {
        status: 200,
        fields: [
          ["Content-Encoding", "gzip"],
          ["Content-Length", "0"],
        ],
      });
      response.end();
    });
    expect(await (await relay.fetch(origin.url)).text()).toBe("");
  });

  test("that do not decode are the target's fault, and an error", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [["Content-Encoding", "gzip"]] });
      response.end("this is no gzip at all");
    });
    const error = await failure((await relay.fetch(origin.url)).text());
    expect(error).toBeInstanceOf(TypeError);
  });

  test("can be cancelled in the middle", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [["Content-Encoding", "gzip"]] });
      response.write(gzipSync(Buffer.alloc(1_000_000, text)));
    });
    const before = edge.closedEarly();
    const reader = (await relay.fetch(origin.url)).body!.getReader();
    expect((await reader.read()).value!.length).toBeGreaterThan(0);
    await reader.cancel();
    await expect.poll(() => edge.closedEarly()).toBe(before + 1);
  });
});

describe("a failure", () => {
  test("of the relay's own is one typed error", async () => {
    edge.next((_, response) => {
      sendError(
        response,
        new RelayError("connect_timeout", "no answer from 198.51.100.9", { node: "node-a", requestId: "id" }),
      );
    });
    const error = await failure(relay.fetch(origin.url));
    expect(error).toBeInstanceOf(RelayError);
    expect(isRelayError(error)).toBe(true);
    expect(error).toMatchObject({
      code: "connect_timeout",
      status: 504,
      retryable: true,
      reached: "no",
      detail: "no answer from 198.51.100.9",
      node: "node-a",
      requestId: "id",
    });
  });

  test.each([
    ["a page of a CDN", 522, "<h1>timeout</h1>"],
    ["a page with success", 200, "<h1>welcome</h1>"],
    ["a redirect to elsewhere", 302, ""],
  ])("is edge_failed for %s, whose body is never shown", async (_, status, page) => {
    edge.next((_seen, response) => {
      response.writeHead(status, { "Content-Type": "text/html", Location: "https://else.example/" });
      response.end(page);
    });
    const error = await failure(relay.fetch(origin.url));
    expect(error).toMatchObject({ code: "edge_failed", reached: "unknown", retryable: false });
    expect((error as RelayError).detail).toBe(`HTTP ${status} with text/html and no mark of the relay`);
  });

  test.each<[string, Record<string, string>]>([
    ["another version", { "Relay-Envelope": "2" }],
    ["no fields", { "Relay-Envelope": "1" }],
    ["fields that are no base64url", { "Relay-Envelope": "1", "Relay-Fields-1": "***" }],
    ["a section that is far too large", { "Relay-Envelope": "1; body=99999999" }],
  ])("is answer_invalid for an envelope with %s", async (_, fields) => {
    edge.next((_seen, response) => {
      response.writeHead(200, { "Relay-Status": "target", ...fields });
      response.end("x");
    });
    expect(await failure(relay.fetch(origin.url))).toMatchObject({ code: "answer_invalid", reached: "yes" });
  });

  test("to reach the edge is edge_unreachable, its cause kept", async () => {
    const gone = await startFakeEdge();
    const away = createRelay(gone.url);
    await gone.close();
    const error = await failure(away.fetch(origin.url));
    expect(error).toMatchObject({ code: "edge_unreachable", reached: "unknown" });
    expect((error as Error).cause).toBeInstanceOf(TypeError);
  });

  test("never holds the key", async () => {
    const key = new URL(edge.url).password;
    for (const url of [undefined, "", key, `https://app:${key}@e/path`, `http://app:${key}@example.com`]) {
      expect(() => createRelay(url)).toThrow(RelayError);
      try {
        createRelay(url);
      } catch (error) {
        expect(String((error as Error).stack)).not.toContain(key);
      }
    }
    const broken = createRelay(`https://app:x${key}@edge.example.com`);
    const error = await failure(broken.fetch(origin.url));
    expect(error).toMatchObject({ code: "request_invalid" });
    expect(JSON.stringify(error) + (error as Error).stack).not.toContain(key);
  });

  test("of the target's is a response", async () => {
    const response = await relay.fetch(`${origin.url}/status/503`);
    expect(response.status).toBe(503);
  });
});

describe("an abort", () => {
  test("before the call sends nothing", async () => {
    const reason = new Error("mine");
    expect(await failure(relay.fetch(origin.url, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(edge.seen).toEqual([]);
  });

  test("while waiting surfaces as in fetch", async () => {
    const controller = new AbortController();
    edge.next(() => controller.abort());
    const error = await failure(relay.fetch(origin.url, { signal: controller.signal }));
    expect(error).toMatchObject({ name: "AbortError" });
    expect(error).toBe(controller.signal.reason);
  });

  test("by a time limit is a TimeoutError", async () => {
    // An edge of its own: the request may come to it after the time is up, and would take the next test's handler.
    const other = await startFakeEdge();
    try {
      other.next(() => {});
      const request = new Request(origin.url, { signal: AbortSignal.timeout(30) });
      expect(await failure(createRelay(other.url).fetch(request))).toMatchObject({ name: "TimeoutError" });
    } finally {
      await other.close();
    }
  });

  test.each([false, true])("covers the body, gzip: %s", async (gzip) => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: gzip ? [["content-encoding", "gzip"]] : [] });
      response.write(gzip ? gzipSync("x").subarray(0, 12) : "one");
    });
    const controller = new AbortController();
    const response = await relay.fetch(origin.url, { signal: controller.signal });
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 30);
    expect(await failure(response.text())).toBe(reason);
  });

  test("while a stream is sent stops it", async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const body = new ReadableStream({
      async pull(controller) {
        await wait(10);
        controller.enqueue(new Uint8Array(10));
      },
      cancel: (reason) => cancelled.resolve(reason),
    });
    const init = { method: "POST", body, duplex: "half", signal: AbortSignal.timeout(60) } as RequestInit;
    expect(await failure(relay.fetch(origin.url, init))).toMatchObject({ name: "TimeoutError" });
    expect(await cancelled.promise).toMatchObject({ name: "TimeoutError" });
  });
});
