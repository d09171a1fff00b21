import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import type { JWK } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BoundKey, generateClientKey, importPrivateKey } from "../../protocol/keys.ts";
import { signToken } from "../../protocol/tokens.ts";
import { eventually } from "../support/node-log.ts";
import { testStack } from "../support/stack.ts";

const ENTRY = join(resolve(import.meta.dirname, "../.."), "cli/holdfast.mjs");

interface Running {
  readonly child: ChildProcess;
  readonly text: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
}

function begin(args: readonly string[], relayUrl = ""): Running {
  const child = spawn(process.execPath, [ENTRY, "ips", ...args], {
    env: { ...process.env, HOLDFAST_URL: relayUrl },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (text.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text.stderr += chunk.toString()));
  return { child, text, ended: once(child, "close").then(([code]) => code as number | null) };
}

async function ips(
  args: readonly string[],
  relayUrl?: string,
): Promise<Running["text"] & { code: number | null }> {
  const { text, ended } = begin(args, relayUrl);
  const code = await ended;
  return { ...text, code };
}

describe("holdfast ips, of a real edge", () => {
  let stack: Awaited<ReturnType<typeof testStack>>;
  beforeAll(async () => {
    stack = await testStack();
  });
  afterAll(() => stack.stop());

  test("tells one address a line, by HOLDFAST_URL and by --edge", async () => {
    const lines =
      "127.0.0.2  ipv4  node-1  -  since 2026-01-01\n127.0.0.3  ipv4  node-2  -  since 2026-01-01\n";
    expect(await ips([], stack.relayUrl)).toEqual({ code: 0, stdout: lines, stderr: "" });
    expect(await ips(["--edge", `${stack.edge}/`])).toEqual({ code: 0, stdout: lines, stderr: "" });
  });

  test("--json tells the whole list", async () => {
    const { code, stdout } = await ips(["--json"], stack.relayUrl);
    const { iat, exp, ...list } = JSON.parse(stdout) as { iat: number; exp: number };
    expect(code).toBe(0);
    expect(exp - iat).toBe(3_600);
    expect(list).toEqual(await (await fetch(`${stack.edge}/.well-known/egress.json`)).json());
  });
});

describe("holdfast ips, of an edge that is not itself", () => {
  let server: Server;
  let edge: string;
  let key: BoundKey;
  let jwk: JWK;
  let addresses: readonly string[];
  /** Answers in its own way; the right way where it is undefined. */
  let answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  let asked = 0;

  beforeAll(async () => {
    const pair = await generateClientKey();
    key = await importPrivateKey(pair.privateKey);
    jwk = { ...pair.publicJwk, kid: "edge-1" };
    server = createServer((request, response) => {
      asked++;
      if (answer !== undefined) answer(request, response);
      else void honest(request, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    edge = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  async function honest({ url }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (url === "/.well-known/jwks.json") response.end(JSON.stringify({ keys: [jwk] }));
    else response.end(await sign(addresses));
  }

  function sign(list: readonly string[], changes: object = {}): Promise<string> {
    const iat = Math.floor(Date.now() / 1_000);
    const entries = list.map((address) => ({ address, family: "ipv4", node: "node-1", since: "2026-11-22" }));
    const claims = {
      issuer: edge,
      addresses: entries,
      planned: [],
      nodes: [],
      iat,
      exp: iat + 3_600,
      ...changes,
    };
    return signToken("egress", claims, key, "edge-1");
  }

  const answering =
    (status: number, body: string): typeof answer =>
    (request, response) => {
      if (request.url === "/.well-known/jwks.json") void honest(request, response);
      else response.writeHead(status, { Location: `${edge}/elsewhere` }).end(body);
    };

  test.each([
    {
      what: "another edge's list",
      body: () => sign([], { issuer: "https://x.example.com" }),
      told: /^holdfast: token_audience: /,
    },
    { what: "an old list", body: () => sign([], { iat: 1, exp: 3_601 }), told: /^holdfast: token_expired: / },
    {
      what: "a changed list",
      body: async () =>
        (await sign(["203.0.113.10"])).replace(/\.[^.]*\./, `.${Buffer.from("{}").toString("base64url")}.`),
      told: /^holdfast: token_signature: /,
    },
    { what: "a page", body: () => "<html>", told: /^holdfast: token_malformed: / },
    {
      what: "an error",
      status: 503,
      body: () => "no",
      told: /^holdfast: edge_failed: .*egress\.jwt answered 503/,
    },
    { what: "a redirect", status: 302, body: () => "", told: /^holdfast: edge_failed: .*answered 302/ },
    {
      what: "no end",
      body: () => "x".repeat(600_000),
      told: /^holdfast: edge_failed: .*longer than 524288 bytes/,
    },
  ])("refuses $what, and prints no address", async ({ status = 200, body, told }) => {
    answer = answering(status, await body());
    const { code, stdout, stderr } = await ips(["--edge", edge]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(told);
  });

  test("tells when nobody is there", async () => {
    const { code, stdout, stderr } = await ips(["--edge", "http://127.0.0.1:1"]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^holdfast: edge_unreachable: .*\n$/);
  });

  test("--watch tells changes alone, goes on through failures, and ends with 0 on SIGINT", async () => {
    answer = undefined;
    addresses = ["203.0.113.10"];
    const { child, text, ended } = begin(["--edge", edge, "--watch", "--interval", "0.1"]);
    await eventually(() => text.stderr.includes("watching 1 addresses"), "it watches");
    expect(text.stdout).toBe("");
    addresses = ["203.0.113.10", "203.0.113.20"];
    await eventually(() => text.stdout.includes("+ address 203.0.113.20"), "the new one was told");

    answer = answering(503, "no");
    await eventually(() => text.stderr.includes("edge_failed"), "the failure was noted");
    const before = asked;
    await eventually(() => asked > before + 4, "it went on asking");
    addresses = ["203.0.113.20"];
    answer = undefined;
    await eventually(() => text.stdout.includes("- address"), "the loss was told");
    child.kill("SIGINT");
    expect(await ended).toBe(0);
    const stamp = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z /;
    const lines = text.stdout.trimEnd().split("\n");
    expect(lines.filter((line) => !stamp.test(line))).toEqual([]);
    expect(lines.map((line) => line.replace(stamp, ""))).toEqual([
      "+ address 203.0.113.20 ipv4 node-1",
      "- address 203.0.113.10 ipv4 node-1",
    ]);
  });
});

describe("holdfast ips, used wrongly", () => {
  test.each([
    { args: [], told: "name the edge by --edge, or set HOLDFAST_URL" },
    { args: ["--edge", "edge.example.com"], told: "--edge takes an origin" },
    { args: ["--edge", "http://edge.example.com"], told: "--edge takes an origin" },
    { args: ["--edge", "https://edge.example.com/x"], told: "--edge takes an origin" },
    { args: ["--edge", "https://app:s3cret@edge.example.com"], told: "--edge takes an origin" },
    { args: ["--json", "--watch", "--edge", "https://edge.example.com"], told: "give one of them" },
    { args: ["--watch", "--interval", "0", "--edge", "https://edge.example.com"], told: "--interval takes" },
    {
      args: ["--watch", "--interval", "soon", "--edge", "https://edge.example.com"],
      told: "--interval takes",
    },
    { args: ["extra"], told: "Unexpected argument" },
    { args: ["--what"], told: "Unknown option" },
  ])("$args", async ({ args, told }) => {
    const { code, stdout, stderr } = await ips(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(told);
    expect(stderr).toContain("Usage: holdfast ips");
    expect(stderr).not.toContain("s3cret");
  });

  test("has help", async () => {
    expect((await ips(["--help"])).stdout).toContain("--interval SECONDS");
  });
});
