import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KEY_FILES } from "../../cli/init/keys.ts";
import { STATE_FILE } from "../../cli/init/plan.ts";
import { TOKEN_TYPES } from "../../protocol/tokens.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { takesStream } from "../support/fake-stream.ts";
import { eventually } from "../support/node-log.ts";
import { run } from "../support/run.ts";
import { openSocket } from "../support/stream-caller.ts";

const ENTRY = join(resolve(import.meta.dirname, "../.."), "cli/holdfast.mjs");
const TARGET = "tcp://db.example.com:5432";
let pool: FakePool;
let dir: string;

beforeAll(async () => {
  pool = await startFakePool(2, [TARGET]);
  for (const node of pool.nodes) node.upgrade = takesStream(() => {});
  dir = mkdtempSync(join(tmpdir(), "holdfast-handle-"));
  const write = (path: string, value: unknown) => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), JSON.stringify(value));
  };
  write(STATE_FILE, { edge: pool.edge, clients: [] });
  write(KEY_FILES.operator, { kid: "operator", d: pool.operatorKey });
});
afterAll(async () => {
  await pool.stop();
  rmSync(dir, { recursive: true });
});

const holdfast = (args: readonly string[], input?: string) =>
  run(process.execPath, [ENTRY, ...args], {
    env: { HOLDFAST_URL: pool.relayUrl },
    ...(input !== undefined && { input }),
  });
const opens = async (credential: string) => {
  const { socket, refused } = await openSocket(pool.edge, {
    path: `/stream/${credential}?address=db.example.com:5432`,
  });
  socket?.close();
  return refused?.code;
};
const TOKEN = ["token", "--act", "stream", "--allow", TARGET, "--ttl"] as const;

describe("holdfast token", () => {
  test("writes a token that opens streams to its targets", async () => {
    const { code, stdout, stderr } = await holdfast([
      ...TOKEN,
      "90d",
      "--node",
      "node-1",
      "--node",
      "node-2",
    ]);
    expect(code).toBe(0);
    const token = stdout.trim();
    const { iat, exp, ...claims } = decodeJwt(token);
    expect(stderr).toContain(`its token's jti is ${claims.jti}: `);
    expect(stderr).not.toContain(token);
    expect(decodeProtectedHeader(token).typ).toBe(TOKEN_TYPES.scope);
    expect(exp! - iat!).toBe(90 * 86_400);
    expect(claims).toMatchObject({
      iss: "app",
      aud: pool.edge,
      act: "stream",
      allow: [TARGET],
      node: ["node-1", "node-2"],
    });
    expect(await opens(token)).toBeUndefined();
  });

  test("writes one for the proxy, for targets that a proxy opens", async () => {
    const proxy = ["token", "--act", "proxy", "--ttl", "1h", "--allow"];
    const { code, stdout } = await holdfast([...proxy, "https://api.bank.com"]);
    expect([code, decodeJwt(stdout.trim())["act"]]).toEqual([0, "proxy"]);
    const limited = await holdfast([...proxy, "https://api.bank.com/v1/*"]);
    expect([limited.code, limited.stdout]).toEqual([1, ""]);
    expect(limited.stderr).toContain("name https://api.bank.com,");
  });

  test.each([
    ["no act", ["token", "--allow", TARGET, "--ttl", "1d"]],
    ["another act", ["token", "--act", "fetch", "--allow", TARGET, "--ttl", "1d"]],
    ["no target", ["token", "--act", "stream", "--ttl", "1d"]],
    ["no time", TOKEN.slice(0, -1)],
    ["a time of no unit", [...TOKEN, "90"]],
    ["no time at all", [...TOKEN, "0d"]],
    ["an option that there isn't", [...TOKEN, "1d", "--x"]],
  ])("%s is no way to call it", async (_what, args) => {
    const { code, stdout, stderr } = await holdfast(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("Usage: holdfast token");
  });

  test("a target that is none is refused before anything is signed", async () => {
    const { code, stderr } = await holdfast([
      "token",
      "--act",
      "stream",
      "--allow",
      "tcp://*:1",
      "--ttl",
      "1d",
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain("request_invalid");
  });
});

describe("holdfast handle", () => {
  test("says what it needs where the folder is none of a deployment", async () => {
    const { code, stdout, stderr } = await holdfast(["handle", "--out", join(dir, "nowhere")], "token");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/takes the operator key, and .*nowhere has none \(ENOENT\): .*--out/);
  });

  test("makes a handle of a token on stdin, and revokes it", async () => {
    const { stdout: token } = await holdfast([...TOKEN, "1h"]);
    const { code, stdout, stderr } = await holdfast(["handle", "--out", dir], token);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^hf_[\w-]{32}\n$/)]);
    const handle = stdout.trim();
    const id = /^holdfast: handle ([\w-]{22}) of app, until \d{4}-/.exec(stderr)?.[1];
    expect(await opens(handle)).toBeUndefined();
    expect((await holdfast(["handle", "--out", dir, "--revoke", id!])).code).toBe(0);
    await eventually(async () => (await opens(handle)) === "handle_unknown", "the handle has ended", 30_000);
    const again = await holdfast(["handle", "--out", dir, "--revoke", id!]);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("not_found")]);
  }, 60_000);

  test("a token that is none is told of, and not repeated", async () => {
    const { code, stdout, stderr } = await holdfast(["handle", "--out", dir], "s3cret.s3cret.s3cret");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("token_malformed");
    expect(stderr).not.toContain("s3cret");
  });

  test("a token as an argument is no way to call it", async () => {
    const { code, stderr } = await holdfast(["handle", "s3cret"]);
    expect(code).toBe(2);
    expect(stderr).not.toContain("s3cret");
  });
});
