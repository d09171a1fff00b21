import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createScopeToken } from "../../client/index.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { freePort, testStack } from "../support/stack.ts";

/** Software that lets nothing be set but a base URL, or that is given one and nothing else. */

let stack: Awaited<ReturnType<typeof testStack>>;
let target: CountingTarget;
let targetUrl: string;
/** Two relay URLs of the same target. */
let one: string;
let other: string;
let dir: string;

beforeAll(async () => {
  const port = await freePort();
  targetUrl = `https://localhost:${port}`;
  stack = await testStack({ allow: [`${targetUrl}/v1`, `${targetUrl}/v1/*`] });
  target = await startCountingTarget({ tls: stack.keys, port, answer });
  const make = async () => {
    const allow = [`${targetUrl}/v1`, `${targetUrl}/v1/*`];
    const token = await createScopeToken(stack.relayUrl, { act: "url", allow, ttlSeconds: 600 });
    return `${stack.edge}/r/${token}/v1`;
  };
  [one, other] = [await make(), await make()];
  dir = mkdtempSync(join(tmpdir(), "holdfast-software-"));
});
afterAll(async () => {
  await stack.stop();
  await target.close();
  rmSync(dir, { recursive: true });
});
beforeEach(() => {
  (target.heads as unknown[]).length = 0;
});

function answer({ url }: IncomingMessage, response: ServerResponse): void {
  switch (url) {
    case "/v1/login":
      response.setHeader("Set-Cookie", "sid=secret; Path=/; HttpOnly");
      return void response.end("in");
    case "/v1/moved":
      return void response.writeHead(302, { Location: `${targetUrl}/v1/here?x=1` }).end();
    case "/v1/chat/completions": {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      for (const content of ["Hold", "fast", "!"]) {
        response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
      }
      return void response.end("data: [DONE]\n\n");
    }
    default:
      return void response.end(`you asked for ${url}`);
  }
}

/** What a program wrote; undefined where this machine has none. */
function run(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((done, failed) => {
    execFile(command, args, { timeout: 15_000, cwd: dir }, (error, stdout, stderr) => {
      if (error?.code === "ENOENT") done(undefined);
      else if (error === null) done(stdout);
      else failed(new Error(`${command} failed: ${stderr}`, { cause: error }));
    });
  });
}

/** Requests as the target saw them: method, URL and cookie. */
const seen = () =>
  target.heads.map(({ method, url, fields }) => {
    const at = fields.findIndex((name) => name.toLowerCase() === "cookie");
    return [method, url, at === -1 ? "" : fields[at + 1]].join(" ").trimEnd();
  });

test("the OpenAI SDK by its baseURL, streaming", async () => {
  const client = new OpenAI({ apiKey: "sk-test", baseURL: one, maxRetries: 0 });
  const stream = await client.chat.completions.create({
    model: "m",
    messages: [{ role: "user", content: "hi" }],
    stream: true,
  });
  let text = "";
  for await (const { choices } of stream) text += choices[0]!.delta.content;
  expect([text, seen()]).toEqual(["Holdfast!", ["POST /v1/chat/completions"]]);
  const [{ fields }] = target.heads as [(typeof target.heads)[number]];
  expect(fields.join(": ")).toContain("authorization: Bearer sk-test");
});

test("Node's fetch, which says Sec-Fetch-Mode, through a redirect", async () => {
  const response = await fetch(`${one}/moved`);
  expect([response.url, await response.text()]).toEqual([`${one}/here?x=1`, "you asked for /v1/here?x=1"]);
});

test("curl, where there is one: a redirect, and cookies that stay where they belong", async () => {
  const args = ["-sSL", "-c", "jar", "-b", "jar", `${one}/login`, `${one}/moved`, `${other}/x`];
  const out = await run("curl", args);
  if (out === undefined) return;
  expect(out).toBe("inyou asked for /v1/here?x=1you asked for /v1/x");
  expect(seen()).toEqual([
    "GET /v1/login",
    "GET /v1/moved sid=secret",
    "GET /v1/here?x=1 sid=secret",
    "GET /v1/x",
  ]);
});

const PYTHON = `
import http.cookiejar, sys, urllib.request
one, other = sys.argv[1:]
jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
opener = urllib.request.build_opener(jar)
for url in one + "/login", one + "/moved", other + "/x":
    print(opener.open(urllib.request.Request(url, data=b"a body"), timeout=10).read().decode())
`;

test("Python's urllib, where there is one: the same, with bodies", async () => {
  const out = await run("python3", ["-c", PYTHON, one, other]);
  if (out === undefined) return;
  expect(out.split("\n")).toEqual(["in", "you asked for /v1/here?x=1", "you asked for /v1/x", ""]);
  expect(seen()).toEqual([
    "POST /v1/login",
    "POST /v1/moved sid=secret",
    "GET /v1/here?x=1 sid=secret",
    "POST /v1/x",
  ]);
  expect(target.bodies.at(-1)).toBe(6);
});
