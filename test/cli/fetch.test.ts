import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { infoLines, shownField } from "../../cli/trace.ts";
import { RelayError } from "../../protocol/errors.ts";
import { type Origin, startOrigin } from "../client/origin.ts";
import { type FakeEdge, sendError, startFakeEdge, writeHead } from "../support/fake-edge.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const ENTRY = join(root, "cli/holdfast.mjs");

let edge: FakeEdge;
let origin: Origin;
let folder: string;

beforeAll(async () => {
  edge = await startFakeEdge();
  folder = await mkdtemp(join(tmpdir(), "holdfast-cli-"));
  origin = await startOrigin((got, response) => {
    const { pathname } = new URL(got.url, "http://target");
    if (pathname === "/go") return void response.writeHead(302, { Location: "/end" }).end("moved");
    response.writeHead(
      pathname === "/missing" ? 404 : 200,
      [
        ["Content-Type", "text/plain"],
        ["Set-Cookie", "session=hush"],
        ["X-B", "2"],
        ["X-A", "1"],
        ["Connection", "close"],
      ].flat(),
    );
    response.end(`${got.method} ${got.body.toString()}`);
  });
});
afterAll(async () => {
  await Promise.all([edge.close(), origin.close(), rm(folder, { recursive: true })]);
});
afterEach(() => {
  edge.reset();
  origin.got.length = 0;
});

interface Outcome {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs the command as a shell does. */
function holdfast(
  args: string[],
  { stdin = "", env = {}, entry = ENTRY, node = process.execPath } = {},
): Promise<Outcome> {
  const child = spawn(node, [entry, ...args], { env: { ...process.env, HOLDFAST_URL: edge.url, ...env } });
  const stdout: Buffer[] = [];
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  return new Promise((done) =>
    child.on("close", (code, signal) => done({ code, signal, stdout: Buffer.concat(stdout), stderr })),
  );
}

describe("holdfast fetch", () => {
  test("writes the body to stdout, and nothing else", async () => {
    const { code, stdout, stderr } = await holdfast(["fetch", `${origin.url}/a?b=%20`]);
    expect([code, stdout.toString(), stderr]).toEqual([0, "GET ", ""]);
    expect(origin.got[0]!.url).toBe("/a?b=%20");
  });

  test("writes coded and large bodies byte for byte", async () => {
    const body = gzipSync(Buffer.from(Array.from({ length: 2_000_000 }, (_, i) => (i * 7919) % 256)));
    const big = Buffer.concat(Array.from({ length: 40 }, () => body));
    edge.next((_, response) => {
      writeHead(response, {
        status: 200,
        fields: [
          ["Content-Encoding", "gzip"],
          ["Content-Length", String(big.length)],
        ],
      });
      response.end(big);
    });
    const { code, stdout } = await holdfast(["fetch", origin.url]);
    expect(code).toBe(0);
    expect(stdout.equals(big)).toBe(true);
    expect(edge.seen[0]!.fields.map(([name]) => name)).toEqual(["accept", "user-agent"]);
  });

  test("sends method, headers and data", async () => {
    const { stdout } = await holdfast([
      "fetch",
      "-X",
      "put",
      "-H",
      "X-One: a b",
      "-H",
      "x-two:\u00e9",
      "-d",
      "a=1",
      "-d",
      "b=2",
      origin.url,
    ]);
    expect(stdout.toString()).toBe("PUT a=1&b=2");
    expect(edge.seen[0]!.fields.slice(0, 3)).toEqual([
      ["X-One", "a b"],
      ["x-two", "\u00c3\u00a9"],
      ["Content-Type", "application/x-www-form-urlencoded"],
    ]);
    expect(origin.got[0]!.headers["content-length"]).toBe("7");
  });

  test("sends files as they are, stdin as a stream, and raw data", async () => {
    const path = join(folder, "data.bin");
    await writeFile(path, "a\r\nb\0c");
    expect((await holdfast(["fetch", "-d", `@${path}`, origin.url])).stdout.toString()).toBe(
      "POST a\r\nb\0c",
    );
    expect(edge.seen[0]!.claims.framing).toBe(6);
    expect((await holdfast(["fetch", "-d", "@-", origin.url], { stdin: "piped" })).stdout.toString()).toBe(
      "POST piped",
    );
    expect(edge.seen[1]!.claims.framing).toBe("chunked");
    expect((await holdfast(["fetch", "--data-raw", "@x", origin.url])).stdout.toString()).toBe("POST @x");
    expect(
      (await holdfast(["fetch", "-H", "content-type: a/b", "-d", "", origin.url])).stdout.toString(),
    ).toBe("POST ");
    expect(origin.got[3]!.headers).toMatchObject({ "content-type": "a/b", "content-length": "0" });
  });

  test("-i writes the status line and the fields as they came", async () => {
    const { stdout } = await holdfast(["fetch", "-i", origin.url]);
    const [head, body] = stdout.toString().split("\r\n\r\n");
    expect(head!.split("\r\n").filter((line) => !line.startsWith("Date:"))).toEqual([
      "HTTP/1.1 200 OK",
      "Content-Type: text/plain",
      "Set-Cookie: session=hush",
      "X-B: 2",
      "X-A: 1",
    ]);
    expect(body).toBe("GET ");
  });

  test("-v shows fields, timings and egress, and no secret", async () => {
    const { stdout, stderr } = await holdfast([
      "fetch",
      "-v",
      "-H",
      "Authorization: Bearer 1234",
      origin.url,
    ]);
    expect(stdout.toString()).toBe("GET ");
    expect(stderr).toContain("> Authorization: [11 bytes]\n");
    expect(stderr).toContain("> accept: */*\n");
    expect(stderr).toContain("< HTTP/1.1 200 OK\n< Content-Type: text/plain\n< Set-Cookie: [12 bytes]\n");
    expect(stderr).toMatch(/\* node node-a, egress 203\.0\.113\.7, request [A-Za-z0-9_-]{22}\n/);
    expect(stderr).toMatch(/\* edge +1\.2 ms\n\* dns +0\.4 ms\n\* connect +12\.0 ms\n\* total +[0-9.]+ ms\n/);
    expect(stderr).not.toContain("1234");
    expect(stderr).not.toContain("hush");
    expect(stderr).not.toContain(new URL(edge.url).password);
    expect(stderr).not.toMatch(/eyJ/);
  });

  test("-o writes to a file, -L follows, redirects are else handed over", async () => {
    const path = join(folder, "out");
    expect((await holdfast(["fetch", "-o", path, `${origin.url}/go`])).stdout.length).toBe(0);
    expect(await readFile(path, "utf8")).toBe("moved");
    const { stdout, stderr } = await holdfast(["fetch", "-vL", `${origin.url}/go`]);
    expect(stdout.toString()).toBe("GET ");
    expect(stderr).toContain(`* redirected to ${origin.url}/end\n`);
  });

  test("--fail turns a target's error into exit code 22", async () => {
    const plain = await holdfast(["fetch", `${origin.url}/missing`]);
    expect([plain.code, plain.stdout.toString()]).toEqual([0, "GET "]);
    const failed = await holdfast(["fetch", "--fail", `${origin.url}/missing`]);
    expect([failed.code, failed.stdout.toString()]).toEqual([22, ""]);
    expect(failed.stderr).toBe("holdfast: the target answered HTTP/1.1 404 Not Found\n");
  });

  test("--node names the nodes, --idempotent that it may be repeated", async () => {
    await holdfast(["fetch", "--node", "fra-1,fra-2", "--node", "ams-1", "--idempotent", origin.url]);
    expect(edge.seen[0]!.claims).toMatchObject({ node: ["fra-1", "fra-2", "ams-1"], idempotent: true });
  });

  test("--receipt asks for one, and -v shows it verified, with the connection and the stages in order", async () => {
    const { code, stdout, stderr } = await holdfast(["fetch", "-v", "--receipt", origin.url]);
    expect([code, stdout.toString()]).toEqual([0, "GET "]);
    expect(edge.seen[0]!.claims.receipt).toBe(true);
    // The fields of the call alone, not those of the question for the keys.
    expect(stderr.match(/^> $/gm)).toHaveLength(1);
    expect(stderr).toContain(
      `* receipt verified: node-a sent GET to ${new URL(origin.url).host} at 192.0.2.80 from 203.0.113.7 by plain http, 0 bytes; 200 with a length not known came at 2026-01-01T00:00:00Z\n`,
    );
    expect(stderr).not.toMatch(/eyJ/);
    edge.next((_, response) => {
      const timing = "edge_auth;dur=1.0, target;dur=2.0, connection;desc=warm";
      writeHead(response, { status: 200 }, { more: { "Relay-Timing": timing } });
      response.end();
    });
    const plain = await holdfast(["fetch", "-v", origin.url]);
    expect(plain.stderr).toMatch(
      /\* warm connection to the target\n\* edge_auth +1\.0 ms\n\* target +2\.0 ms\n\* total/,
    );
    expect(plain.stderr).not.toContain("receipt");
  });

  test.each([
    [["--expect-ip", "203.0.113.7"], 0, ""],
    [["--expect-ip", "2001:db8::1", "--expect-ip", "203.0.113.8,203.0.113.7"], 0, ""],
    [
      ["--expect-ip", "203.0.113.8"],
      1,
      "holdfast: egress_not_listed: the request left from 203.0.113.7\n  reached: yes",
    ],
  ])("%j holds the request to these addresses", async (options, expected, told) => {
    const { code, stdout, stderr } = await holdfast(["fetch", ...options, origin.url]);
    expect([code, stdout.toString()]).toEqual([expected, expected === 0 ? "GET " : ""]);
    expect(stderr.slice(0, told.length)).toBe(told);
  });

  test("-v shows how far a request came that failed", async () => {
    edge.next((_, response) => {
      response.setHeader("Relay-Timing", "edge_auth;dur=1.5, edge_node;dur=0.5, dns;dur=20.0");
      sendError(response, new RelayError("dns_failed", "no such name"));
    });
    const { code, stderr } = await holdfast(["fetch", "-v", origin.url]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/\n {2}edge_auth +1\.5 ms\n {2}edge_node +0\.5 ms\n {2}dns +20\.0 ms\n$/);
  });

  test("--max-time ends a call that hangs", async () => {
    edge.next(() => {});
    const { code, stderr } = await holdfast(["fetch", "-m", "0.3", origin.url]);
    expect([code, stderr]).toEqual([1, "holdfast: no whole answer within 0.3 s\n"]);
  });

  test("tells the relay's errors with what can be done", async () => {
    edge.next((_, response) =>
      sendError(response, new RelayError("target_not_allowed", "not yours", { node: "node-a" })),
    );
    const { code, stdout, stderr } = await holdfast(["fetch", "-i", origin.url]);
    expect([code, stdout.length]).toEqual([1, 0]);
    expect(stderr.split("\n")).toEqual([
      "holdfast: target_not_allowed: not yours",
      "  reached: no, the target has seen nothing of it",
      "  mend: Add the target to the client's allow list. A scope token or handle has a list of its own, which has to name it, too.",
      "  node: node-a",
      "",
    ]);
  });

  test("tells a cut answer, having written what came", async () => {
    edge.next((_, response) => {
      writeHead(response, { status: 200, fields: [["Content-Length", "10"]] });
      response.end("short");
    });
    const { code, stdout, stderr } = await holdfast(["fetch", origin.url]);
    expect([code, stdout.toString()]).toEqual([1, "short"]);
    expect(stderr).toContain("answer_cut: the body ended after 5 of 10 bytes");
  });

  test.each([["GET"], ["HEAD"]])("tells how long to wait, also where %s has no body", async (method) => {
    edge.next((_, response) => {
      const error = new RelayError("rate_limited", "too often", { retryAfter: 7 });
      if (method === "GET") sendError(response, error);
      else response.writeHead(429, { "Relay-Error": "rate_limited", "Retry-After": "7" }).end();
    });
    const { code, stderr } = await holdfast(["fetch", "-X", method, origin.url]);
    expect(code).toBe(1);
    expect(stderr.split("\n")).toContain("  try again after: 7 s");
  });

  test("tells when the edge is gone", async () => {
    const gone = await startFakeEdge();
    await gone.close();
    const { code, stderr } = await holdfast(["fetch", origin.url], { env: { HOLDFAST_URL: gone.url } });
    expect(code).toBe(1);
    expect(stderr).toContain("edge_unreachable");
    expect(stderr).toContain("ECONNREFUSED");
    const unset = await holdfast(["fetch", origin.url], { env: { HOLDFAST_URL: "" } });
    expect([unset.code, unset.stderr.split("\n")[0]]).toEqual([
      1,
      "holdfast: request_invalid: HOLDFAST_URL is not set: it has the form https://<client-id>:<private key>@<edge host>, or https://<client-id>@<edge host> where the platform tells who is asking",
    ]);
  });

  test.each([
    [["fetch"], "give exactly one URL"],
    [["fetch", "a", "b"], "give exactly one URL"],
    [["fetch", "--what", "a"], "Unknown option '--what'"],
    [["fetch", "-H", "secret-without-colon", "a"], 'a header is written as "Name: value"'],
    [["fetch", "-m", "soon", "a"], "--max-time takes"],
    [["fetch", "--expect-ip", "203.0.113.7,", "a"], '--expect-ip takes IP addresses, and "" is none'],
    [["fetch", "--expect-ip", "relay.example.com", "a"], "--expect-ip takes IP addresses"],
    [["fetch", "-d", "@-", "-d", "x", "a"], "@- is a body of its own"],
    [["fetch", "-d", "@/nowhere/at/all", "a"], "can't be read"],
    [["fly"], 'unknown command "fly"'],
    [[], "name a command"],
  ])("%j is wrong usage", async (args, problem) => {
    const { code, stdout, stderr } = await holdfast(args);
    expect([code, stdout.length]).toEqual([2, 0]);
    expect(stderr).toContain(problem);
    expect(stderr).toContain("Usage: holdfast");
    expect(stderr).not.toContain("secret-without-colon");
  });

  test("has help and a version", async () => {
    expect((await holdfast(["--help"])).stdout.toString()).toMatch(/fetch +make one request/);
    expect((await holdfast(["fetch", "--help"])).stdout.toString()).toContain("--max-time SECONDS");
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
    expect((await holdfast(["--version"])).stdout.toString()).toBe(`holdfast ${version}\n`);
  });
});

describe("holdfast.mjs", () => {
  /** A copy of the launcher, with or without a packaged Node beside it. */
  const launcher = async (name: string, withNode: boolean): Promise<string> => {
    const at = join(folder, name);
    await mkdir(join(at, "cli"), { recursive: true });
    if (withNode) {
      await mkdir(join(at, "node_modules/node/bin"), { recursive: true });
      await symlink(process.execPath, join(at, "node_modules/node/bin/node"));
    }
    await copyFile(ENTRY, join(at, "cli/holdfast.mjs"));
    return join(at, "cli/holdfast.mjs");
  };
  /** Loaded first, so that the launcher sees an old Node; the one it starts sees itself as it is. */
  const OLD =
    "data:text/javascript,if(!process.env.HOLDFAST_LAUNCHED)Object.defineProperty(process.versions,'node',{value:'18.0.0'})";

  test("starts the packaged Node where the running one is too old, and hands its exit code on", async () => {
    const entry = await launcher("with", true);
    await writeFile(
      join(entry, "../holdfast.ts"),
      "export function run(): void { console.log(JSON.stringify([process.argv.slice(2), process.env.HOLDFAST_LAUNCHED ?? null])); process.exitCode = 22; }",
    );
    const outcome = await holdfast(["fetch", "a b"], { entry, env: { NODE_OPTIONS: `--import=${OLD}` } });
    expect([outcome.code, outcome.stderr]).toEqual([22, ""]);
    expect(JSON.parse(outcome.stdout.toString())).toEqual([["fetch", "a b"], null]);
  });

  test("hands signals on, and ends by the same one", async () => {
    const entry = await launcher("signal", true);
    await writeFile(
      join(entry, "../holdfast.ts"),
      "export function run(): void { console.log(`up ${process.pid}`); setInterval(() => {}, 1000); }",
    );
    const child = spawn(process.execPath, [entry], {
      env: { ...process.env, NODE_OPTIONS: `--import=${OLD}` },
    });
    const pid = await new Promise<number>((done) =>
      child.stdout.on("data", (chunk: Buffer) => done(Number(/up ([0-9]+)/.exec(chunk.toString())?.[1]))),
    );
    expect(pid).not.toBe(child.pid);
    const closed = new Promise((done) => child.on("close", (code, signal) => done([code, signal])));
    child.kill("SIGTERM");
    expect(await closed).toEqual([null, "SIGTERM"]);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  test("names the version that it needs where there is none", async () => {
    const entry = await launcher("without", false);
    const outcome = await holdfast([], { entry, env: { NODE_OPTIONS: `--import=${OLD}` } });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/^holdfast needs Node 24\.15 or later, and this is 18\.0\.0/);
  });
});

describe("what is shown", () => {
  test.each([
    ["Authorization", "Bearer abcd", "Authorization: [11 bytes]"],
    ["X-Api-Key", "k", "X-Api-Key: [1 bytes]"],
    ["x-auth-token", "", "x-auth-token: [0 bytes]"],
    ["Accept", "*/*", "Accept: */*"],
  ])("of %s: %s", (name, value, shown) => {
    expect(shownField([name, value])).toBe(shown);
  });

  test("of an answer that did not come through the relay", () => {
    expect(infoLines(undefined, 5)).toEqual([
      "node not told, egress not told, request not told",
      "total       5.0 ms",
    ]);
  });
});
