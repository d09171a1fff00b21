import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type DirectEdge, startDirectEdge } from "../support/direct-edge.ts";
import { startHoldfast } from "../support/holdfast-process.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { allOf } from "../support/all-of.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** The agent's ways to the nodes. */
let edge: DirectEdge;
let node: NodeHere;
let echo: TcpTarget;
let dir: string;

beforeAll(async () => {
  [node, echo] = await Promise.all([
    startNodeHere(),
    startTcpTarget((socket) => {
      socket.pipe(socket);
    }),
  ]);
  edge = await startDirectEdge([node]);
  dir = mkdtempSync(join(tmpdir(), "holdfast-via-"));
  writeFileSync(join(dir, "ca.pem"), node.ca);
}, 60_000);
beforeEach(() => {
  edge.seen.length = 0;
});
afterAll(async () => {
  await edge?.close();
  await Promise.all([node?.stop(), echo?.close()]);
  rmSync(dir, { recursive: true });
});

const start = (args: string[], env: Record<string, string> = {}) =>
  startHoldfast(args, {
    env: { HOLDFAST_URL: edge.url, NODE_EXTRA_CA_CERTS: join(dir, "ca.pem"), ...env },
    cwd: dir,
  });
const authority = () => `127.0.0.1:${echo.port}`;
/** By which routes of the edge's what went for the target went, paths that are opened ahead included. */
const asked = () => [
  ...new Set(edge.seen.filter(({ claims }) => claims.url === echo.url).map(({ path }) => path)),
];

async function talk(port: number): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.end("through");
  return (await allOf(socket)).toString();
}

describe("the way to the nodes", () => {
  test.each([
    ["/grants", ["--via", "direct"]],
    ["/stream", ["--via", "edge"]],
  ])("holdfast tunnel asks %s, where its flag is %j and HOLDFAST_VIA the other", async (path, flags) => {
    const other = flags[1] === "edge" ? "direct" : "edge";
    const running = start(["tunnel", ...flags, authority()], { HOLDFAST_VIA: other });
    await running.says(/^127\.0\.0\.1:\d+\n$/);
    expect(await talk(Number(running.stdout().trim().split(":")[1]))).toBe("through");
    running.child.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ code: 0, stderr: "" });
    expect(asked()).toEqual([path]);
  });

  test("holdfast run reads it from holdfast.toml, and goes straight to the node", async () => {
    const config = join(dir, "direct.toml");
    writeFileSync(config, `via = "direct"\n[[destinations]]\nhost = "127.0.0.1"\nport = ${echo.port}\n`);
    const program = `
      const { createConnection } = require("node:net");
      const proxy = new URL(process.env.HTTP_PROXY);
      const socket = createConnection(proxy.port, proxy.hostname);
      const basic = Buffer.from(proxy.username + ":" + proxy.password).toString("base64");
      socket.write("CONNECT ${authority()} HTTP/1.1\\r\\nHost: ${authority()}\\r\\nProxy-Authorization: Basic " + basic + "\\r\\n\\r\\n");
      socket.once("data", (head) => {
        process.stdout.write(String(head).split("\\r\\n")[0] + "\\n");
        socket.end("through");
        socket.pipe(process.stdout);
      });`;
    const ended = await start(["run", "-q", "--config", config, "--", process.execPath, "-e", program]).ended;
    expect(ended.code).toBe(0);
    expect(ended.stdout).toMatch(/^HTTP\/1\.1 200 .*\nthrough$/);
    expect(asked()).toEqual(["/grants"]);
  });

  test.each([true, false])("holdfast run opens paths ahead: %s", async (ahead) => {
    const config = join(dir, "ahead.toml");
    writeFileSync(config, `ahead = ${ahead}\n[[destinations]]\nhost = "127.0.0.1"\nport = ${echo.port}\n`);
    const program = "setTimeout(() => {}, 500)";
    const ended = await start(["run", "-q", "--config", config, "--", process.execPath, "-e", program]).ended;
    expect(ended.code).toBe(0);
    expect(edge.seen.filter(({ claims }) => claims.park === true)).toHaveLength(ahead ? 1 : 0);
  });

  test("holdfast proxy goes straight to the node", async () => {
    const running = start(["proxy", "--via", "direct", "--to", authority()]);
    await running.says("ALL_PROXY");
    const proxy = new URL(/^HTTP_PROXY=(.*)$/m.exec(running.stdout())![1]!);
    const socket = connect({ host: proxy.hostname, port: Number(proxy.port), allowHalfOpen: true });
    const basic = Buffer.from(`${proxy.username}:${proxy.password}`).toString("base64");
    socket.end(
      `CONNECT ${authority()} HTTP/1.1\r\nHost: ${authority()}\r\nProxy-Authorization: Basic ${basic}\r\n\r\nthrough`,
    );
    expect((await allOf(socket)).toString()).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nthrough$/);
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(0);
    expect(asked()).toEqual(["/grants"]);
  });

  test("a node that can't be trusted is not used, and all goes by the edge", async () => {
    const running = start(["tunnel", "--via", "direct", authority()], { NODE_EXTRA_CA_CERTS: "" });
    await running.says(/^127\.0\.0\.1:\d+\n$/);
    expect(await talk(Number(running.stdout().trim().split(":")[1]))).toBe("through");
    running.child.kill("SIGTERM");
    await running.ended;
    expect(asked()).toEqual(["/grants", "/stream"]);
  });
});

test.each([
  ["run", ["--to", "127.0.0.1:1", "--", "true"]],
  ["proxy", ["--to", "127.0.0.1:1"]],
  ["tunnel", ["127.0.0.1:1"]],
])("holdfast %s refuses another way, and names those that there are", async (command, rest) => {
  const ended = await start([command, "--via", "detour", ...rest]).ended;
  expect([ended.code, ended.stdout]).toEqual([2, ""]);
  expect(ended.stderr).toContain("--via detour is none of edge, direct");
});
