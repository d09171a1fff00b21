import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gzipSync } from "node:zlib";
import { type FakeEdge, sendError, startFakeEdge, writeHead } from "../support/fake-edge.ts";
import { RelayError } from "../../client/index.ts";
import { type Origin, startOrigin } from "./origin.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** Runs in workerd: one case per path, each answers with what it saw as JSON. */
const WORKER = `
import { createRelay, isRelayError, relayInfo } from "./client/index.ts";
export default {
  async fetch(request, env) {
    const relay = createRelay(env.HOLDFAST_URL);
    globalThis.checked ??= createRelay(env.HOLDFAST_URL, { egress: ["203.0.113.7"] });
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const cases = {
      async plain() {
        const response = await relay.fetch(env.TARGET + "/x", { method: "POST", body: "abc", headers: { "x-a": "caf\\u00e9" } });
        return { status: response.status, url: response.url, text: await response.text(), info: relayInfo(response), method: (await relay.fetch(env.TARGET, { method: "FOO" })).status };
      },
      async form() {
        const form = new FormData();
        form.append("file", new Blob(["content"], { type: "text/csv" }), "a.csv");
        return (await relay.fetch(env.TARGET, { method: "POST", body: form })).text();
      },
      async stream() {
        return (await relay.fetch(env.TARGET, { method: "POST", body: request.body })).text();
      },
      async request() {
        return (await relay.fetch(new Request(env.TARGET + "/r", { method: "PUT", body: "abc" }))).text();
      },
      async cutUpload() {
        let n = 0;
        const body = new ReadableStream({ async pull(c) { await wait(10); if (n++ < 2) c.enqueue(new Uint8Array(3)); else throw new RangeError("mine"); } });
        return relay.fetch(env.TARGET, { method: "POST", body });
      },
      async odd() {
        const response = await relay.fetch(env.TARGET);
        return { status: response.status, ok: response.ok, cookies: response.headers.getSetCookie(), reason: response.statusText, clone: response.clone().status, text: await response.text() };
      },
      async text() {
        return (await relay.fetch(env.TARGET)).text();
      },
      async abort() {
        const controller = new AbortController();
        const response = await relay.fetch(env.TARGET, { signal: controller.signal });
        setTimeout(() => controller.abort(new Error("enough")), 30);
        return response.text();
      },
      async cancel() {
        const response = await relay.fetch(env.TARGET);
        const reader = response.body.getReader();
        await reader.read();
        await reader.cancel();
        return "cancelled";
      },
      async redirect() {
        const response = await relay.fetch(env.TARGET + "/go");
        return { url: response.url, redirected: response.redirected, text: await response.text() };
      },
      async receipt() {
        return relayInfo(await globalThis.checked.fetch(env.TARGET)).receipt;
      },
      async keyless() {
        const identityToken = async () => env.IDENTITY;
        globalThis.keyless ??= createRelay(env.KEYLESS_URL, { identityToken });
        return (await globalThis.keyless.fetch(env.TARGET + "/k")).text();
      },
      async nobody() {
        return (await createRelay(env.KEYLESS_URL).fetch(env.TARGET)).text();
      },
      async passOn() {
        return relay.fetch(env.TARGET + "/x");
      },
    };
    try {
      const result = await cases[new URL(request.url).pathname.slice(1)]();
      return result instanceof Response ? result : Response.json({ result });
    } catch (error) {
      const { name, message, code, reached, detail } = error;
      return Response.json({ error: { name, message, code, reached, detail, relay: isRelayError(error), cause: String(error.cause) } });
    }
  },
};`;

describe("in workerd", () => {
  let edge: FakeEdge;
  let origin: Origin;
  let workerd: Miniflare;

  beforeAll(async () => {
    edge = await startFakeEdge();
    origin = await startOrigin((got, response) => {
      if (got.url === "/go") return void response.writeHead(302, { Location: "/end" }).end();
      response.end(
        `${got.method} ${got.url} ${got.headers["content-length"] ?? got.headers["transfer-encoding"]} ${got.body.toString()}`,
      );
    });
    const bundle = await build({
      stdin: { contents: WORKER, resolveDir: root, loader: "js" },
      bundle: true,
      write: false,
      format: "esm",
      platform: "browser",
      conditions: ["workerd"],
    });
    const contents = bundle.outputFiles[0]!.text;
    workerd = new Miniflare({
      workers: [
        {
          config: {
            name: "client",
            compatibilityDate: "2026-09-15",
            env: {
              HOLDFAST_URL: { type: "text", value: edge.url },
              TARGET: { type: "text", value: origin.url },
              KEYLESS_URL: { type: "text", value: edge.keylessUrl },
              IDENTITY: { type: "text", value: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.c2ln" },
            },
            manifest: {
              mainModule: "main.js",
              modulesRoot: "/",
              modules: { "main.js": { type: "esm", contents } },
            },
          },
        },
      ],
    });
    await workerd.ready;
  });
  afterAll(async () => {
    await workerd?.dispose();
    await edge.close();
    await origin.close();
  });

  const run = async (
    name: string,
    init?: { method: string; body: string },
  ): Promise<{ result?: unknown; error?: unknown }> =>
    (await (await workerd.dispatchFetch(`http://client/${name}`, init)).json()) as {
      result?: unknown;
      error?: unknown;
    };

  test("calls, with any method", async () => {
    const { result } = await run("plain");
    expect(result).toMatchObject({
      status: 200,
      url: `${origin.url}/x`,
      text: "POST /x 3 abc",
      info: { node: "node-a", egress: "203.0.113.7" },
    });
    expect(edge.seen.at(-2)!.fields).toContainEqual(["x-a", "caf\u00e9"]);
    expect(edge.seen.at(-2)!.fields.find(([name]) => name === "accept-encoding")?.[1]).toContain("gzip");
    expect(edge.seen.at(-1)!.claims.htm).toBe("FOO");
  });

  test("sends forms, streams and Request objects", async () => {
    expect((await run("form")).result).toContain('filename="a.csv"');
    expect((await run("stream", { method: "POST", body: "streamed" })).result).toBe(
      "POST / chunked streamed",
    );
    expect((await run("request")).result).toBe("PUT /r 3 abc");
  });

  test("never ends a failed upload as a whole one", async () => {
    const { error } = await run("cutUpload");
    expect(error).toMatchObject({ name: "TypeError", cause: "RangeError: mine" });
    await expect.poll(() => edge.seen.at(-1)!.cut).toBe(true);
  });

  test("represents every status, and repeats", async () => {
    edge.next((_, response) => {
      writeHead(response, {
        status: 999,
        reason: "Odd",
        fields: [
          ["Set-Cookie", "a=1"],
          ["Set-Cookie", "b=2"],
        ],
      });
      response.end("odd");
    });
    const expected = {
      status: 999,
      ok: false,
      cookies: ["a=1", "b=2"],
      reason: "Odd",
      clone: 999,
      text: "odd",
    };
    expect((await run("odd")).result).toEqual(expected);
  });

  test("undoes codings", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [["Content-Encoding", "gzip"]] }, { inBody: true });
      response.end(gzipSync("plain text"));
    });
    expect((await run("text")).result).toBe("plain text");
  });

  test("sees cut answers, relay's errors and unmarked pages as errors", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [["Content-Length", "10"]] });
      response.end("short");
    });
    expect((await run("text")).error).toMatchObject({ code: "answer_cut", relay: true });
    edge.next((_, response) => {
      writeHead(response, { status: 200 });
      response.write("half");
      setTimeout(() => response.destroy(), 20);
    });
    expect((await run("text")).error).toMatchObject({ code: "answer_cut", relay: true });
    edge.next((_, response) => sendError(response, new RelayError("target_not_allowed", "not yours")));
    expect((await run("text")).error).toMatchObject({
      code: "target_not_allowed",
      reached: "no",
      relay: true,
    });
    edge.next((_, response) => void response.writeHead(530, { "Content-Type": "text/html" }).end("page"));
    expect((await run("text")).error).toMatchObject({ code: "edge_failed", reached: "unknown", relay: true });
  });

  test("aborts and cancels the body", async () => {
    const open = () =>
      edge.next((_, response) => {
        writeHead(response, { status: 200 });
        response.write("one");
      });
    const before = edge.closedEarly();
    open();
    expect((await run("abort")).error).toMatchObject({ message: "enough", relay: false });
    open();
    expect((await run("cancel")).result).toBe("cancelled");
    await expect.poll(() => edge.closedEarly()).toBe(before + 2);
  });

  test("verifies receipts, for requests at once by one isolate's keys", async () => {
    edge.published.delayMs = 200;
    const results = await Promise.all(Array.from({ length: 6 }, () => run("receipt")));
    for (const { result } of results) {
      expect(result).toMatchObject({ iss: "node-a", egress: "203.0.113.7" });
    }
    expect(edge.published.asked).toBe(1);
  });

  test("gets one certificate for requests at once, and another where the edge does not take it", async () => {
    edge.desk.delayMs = 200;
    const calls = () => Promise.all(Array.from({ length: 6 }, () => run("keyless")));
    const all = Array.from({ length: 6 }, () => ({ result: "GET /k undefined " }));
    expect(await calls()).toEqual(all);
    expect(edge.desk.seen).toHaveLength(1);
    await edge.desk.rotate();
    expect(await calls()).toEqual(all);
    expect(edge.desk.seen).toHaveLength(2);
    expect((await run("nobody")).error).toMatchObject({ code: "platform_token_missing", relay: true });
  });

  test("follows redirects, and its responses can be passed on", async () => {
    const text = "GET /end undefined ";
    expect((await run("redirect")).result).toEqual({ url: `${origin.url}/end`, redirected: true, text });
    const passed = await workerd.dispatchFetch("http://client/passOn");
    expect(await passed.text()).toBe("GET /x undefined ");
  });
});

describe("for browsers", () => {
  test("it bundles, and imports nothing but protocol/ and jose", async () => {
    const { metafile, errors, warnings } = await build({
      entryPoints: [resolve(root, "client/index.ts")],
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "browser",
      absWorkingDir: root,
    });
    expect([errors, warnings]).toEqual([[], []]);
    const inputs = Object.keys(metafile.inputs);
    expect(inputs.filter((path) => !/^(client|protocol|node_modules\/jose)\//.test(path))).toEqual([]);
    const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
    expect(imports.filter(({ external }) => external === true)).toEqual([]);
  });
});
