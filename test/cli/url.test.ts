import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { decodeJwt } from "jose";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { UsageError } from "../../cli/command.ts";
import { urlCommand } from "../../cli/commands/url.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { type Ran, run } from "../support/run.ts";
import { freePort, testStack } from "../support/stack.ts";

/** `holdfast url`, and software that is given what it prints and nothing else. */

const ENTRY = join(resolve(import.meta.dirname, "../.."), "cli/holdfast.mjs");

let stack: Awaited<ReturnType<typeof testStack>>;
let target: CountingTarget;
let targetUrl: string;
/** How the first of them was made. */
let made: Ran;
/** Two relay URLs of the same target. */
let one: string;
let other: string;
let dir: string;

beforeAll(async () => {
  const port = await freePort();
  targetUrl = `https://localhost:${port}`;
  stack = await testStack({ allow: [`${targetUrl}/v1`, `${targetUrl}/v1/*`] });
  target = await startCountingTarget({ tls: stack.keys, port, answer });
  const [byHandle, byToken] = await Promise.all([
    makeUrl(`${targetUrl}/v1`, "--ttl", "1h", "--handle", "--out", stack.dir),
    makeUrl(`${targetUrl}/v1`, "--ttl", "1h"),
  ]);
  [one, other] = [byHandle.stdout.trim(), byToken.stdout.trim()];
  made = byHandle;
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

const makeUrl = (...args: readonly string[]): Promise<Ran> =>
  run(process.execPath, [ENTRY, "url", ...args], { env: { HOLDFAST_URL: stack.relayUrl }, cwd: stack.dir });

function answer({ url: path = "" }: IncomingMessage, response: ServerResponse): void {
  switch (path) {
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
      return void response.end(`you asked for ${path}`);
  }
}

/** What a program wrote; undefined where this machine has none. */
function program(command: string, args: readonly string[]): Promise<string | undefined> {
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

describe("holdfast url", () => {
  test("writes the URL alone to stdout, and on stderr what there is to know of it, without a secret", () => {
    expect([made.code, made.stdout]).toEqual([0, `${one}\n`]);
    const handle = /^http:\/\/127\.0\.0\.1:\d+\/r\/(hf_[\w-]{32})\/v1$/.exec(one)![1]!;
    const [opens, ends, addresses, ...more] = made.stderr.trimEnd().split("\n");
    expect(opens).toContain(`opens ${targetUrl}/v1 and ${targetUrl}/v1/* for client dev, until 20`);
    expect(ends).toMatch(/its handle's id is \S{22}: `holdfast handle --revoke \S{22} --out \S+` ends it$/);
    expect(addresses).toContain("targets see 127.0.0.2, 127.0.0.3:");
    expect([more, made.stderr.includes(handle)]).toEqual([[], false]);
  });

  test("signs a token of the act url, with methods, a life and nodes", async () => {
    const asked = [`${targetUrl}/v1/*`, "--methods", "get,POST", "--ttl", "90d", "--node", "node-2"];
    const ran = await makeUrl(...asked);
    const [, token, path] = /\/r\/([^/]+)(\/.*)\n$/.exec(ran.stdout)!;
    const { iat, exp, jti, ...claims } = decodeJwt(token!);
    expect([path, exp! - iat!]).toEqual(["/v1", 90 * 86_400]);
    const allow = [`GET,POST ${targetUrl}/v1/*`];
    expect(claims).toEqual({ iss: "dev", aud: stack.edge, act: "url", allow, node: ["node-2"] });
    expect(ran.stderr).toMatch(
      new RegExp(`its token's jti is ${jti}: \`holdfast token --revoke[ =]${jti} --client dev\` ends it`),
    );
    expect(ran.stderr).not.toContain(token);
    const answers = await Promise.all(
      ["GET", "PUT"].map((method) => fetch(`${ran.stdout.trim()}/x`, { method })),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 403]);
    expect(answers[0]!.headers.get("relay-node")).toBe("node-2");
  });

  test.each<[what: string, args: string[], told: string]>([
    ["plain http", ["http://api.bank.com", "--ttl", "1h"], "https://"],
    ["every host", ["https://*", "--ttl", "1h"], "one host"],
    ["a query", ["https://api.bank.com/v1?x=y", "--ttl", "1h"], "scheme://host"],
    [
      "a folder that is no deployment's",
      ["https://api.bank.com", "--ttl", "1h", "--handle", "-o", "none"],
      "none",
    ],
  ])("can't be made for %s", async (_what, args, told) => {
    const ran = await makeUrl(...args);
    expect([ran.code, ran.stdout]).toEqual([1, ""]);
    expect(ran.stderr).toContain(told);
  });

  test.each<[what: string, args: string[]]>([
    ["no target", ["--ttl", "1h"]],
    ["two targets", ["https://a.com", "https://b.com", "--ttl", "1h"]],
    ["no life", ["https://a.com"]],
    ["a life that is none", ["https://a.com", "--ttl", "long"]],
    ["an option that nobody knows", ["https://a.com", "--ttl", "1h", "--scheme", "https"]],
  ])("is used wrongly with %s", async (_what, args) => {
    await expect(urlCommand.run(args)).rejects.toThrow(UsageError);
  });
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
  const out = await program("curl", args);
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
  const out = await program("python3", ["-c", PYTHON, one, other]);
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
