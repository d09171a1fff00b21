import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import type { Finding } from "../../cli/agent/doctor/findings.ts";
import { LISTENING, type ProcessEnd, startHoldfast } from "../support/holdfast-process.ts";
import { eventually } from "../support/node-log.ts";
import { freePort, testStack } from "../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

let stack: Awaited<ReturnType<typeof testStack>>;
let echo: TcpTarget;
const callers: (string | undefined)[] = [];

beforeAll(async () => {
  echo = await startTcpTarget((socket) => {
    callers.push(socket.remoteAddress);
    socket.pipe(socket);
  });
  stack = await testStack({ allow: [echo.url] });
}, 60_000);
afterAll(async () => {
  await stack.stop();
  await echo.close();
});
afterEach(() => {
  callers.length = 0;
});

const start = (args: string[], env: Record<string, string> = {}) =>
  startHoldfast(args, { env: { HOLDFAST_URL: stack.relayUrl, ...env }, cwd: stack.dir });

const authority = () => `127.0.0.1:${echo.port}`;

describe("holdfast doctor", () => {
  const lines = async (args: string[], env?: Record<string, string>) => {
    const { code, stdout } = await start(["doctor", ...args], env).ended;
    return { code, lines: stdout.trimEnd().split("\n") };
  };

  test("finds all well, with the addresses that the destination sees", async () => {
    const told = await lines(["--to", authority(), "--expect-ip", "127.0.0.2,127.0.0.3"]);
    expect(told.lines).toEqual([
      "✓ settings: 1 destination, 0 hosts",
      `✓ HOLDFAST_URL: client dev by ${stack.edge}, signing with Ed25519`,
      expect.stringMatching(/^✓ edge: http:\/\/\S+ answers in \d+ ms$/),
      expect.stringMatching(/^✓ clock: /),
      "✓ relay URLs: paths arrive as they are sent",
      "✓ token: the relay takes it",
      "✓ published addresses: 127.0.0.2, 127.0.0.3",
      "✓ node node-1: published with 127.0.0.2, in service",
      "✓ node node-2: published with 127.0.0.3, in service",
      expect.stringMatching(
        /^✓ destination 127\.0\.0\.1:\d+: by node-1 from 127\.0\.0\.2 in \d+ ms, by node-2 from 127\.0\.0\.3 in \d+ ms$/,
      ),
    ]);
    expect(told.code).toBe(0);
    expect(new Set(callers)).toEqual(new Set(["127.0.0.2", "127.0.0.3"]));
  });

  test("fails where an address is not the expected one, and says so in JSON", async () => {
    const { code, stdout } = await start([
      "doctor",
      "--json",
      "--to",
      authority(),
      "--expect-ip",
      "127.0.0.2",
    ]).ended;
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
    expect([code, ok]).toEqual([1, false]);
    expect(findings.filter((one) => !one.ok)).toEqual([
      expect.objectContaining({
        check: `destination ${authority()}`,
        text: "seen from 127.0.0.3, and not from 127.0.0.2",
      }),
    ]);
  });

  test("tells what is wrong, and what mends it", async () => {
    const denied = await lines(["--to", "127.0.0.1:1", "--expect-ip", "127.0.0.2"]);
    expect(denied.code).toBe(1);
    expect(denied.lines.slice(-2)).toEqual([
      expect.stringMatching(
        /^✗ destination 127\.0\.0\.1:1: .*target_not_allowed: .*Add the target to the client's allow list\. /,
      ),
      expect.stringMatching(/^✗ address: none was seen\. /),
    ]);
    const stranger = stack.relayUrl.replace("//dev:", "//nobody:");
    const unknown = await lines(["--to", authority()], { HOLDFAST_URL: stranger });
    expect(unknown.code).toBe(1);
    expect(unknown.lines.filter((line) => line.startsWith("✗"))).toEqual([
      expect.stringMatching(/^✗ token: client_unknown: .*Register the client/),
    ]);
    const port = await freePort();
    const gone = await lines([], { HOLDFAST_URL: stack.relayUrl.replace(/:\d+$/, `:${port}`) });
    expect(gone.lines.find((line) => line.includes(" edge: "))).toMatch(
      /^✗ edge: edge_unreachable: .*ECONNREFUSED/,
    );
    const unset = await lines([], { HOLDFAST_URL: "" });
    expect(unset.lines.at(-1)).toMatch(/^✗ HOLDFAST_URL: HOLDFAST_URL is not set/);
    expect(JSON.stringify([denied, unknown, gone])).not.toContain(new URL(stack.relayUrl).password);
  });
});

describe("holdfast run by a real relay", () => {
  const program = [
    process.execPath,
    "-e",
    `const [host, port] = process.env.TARGET.split(":");
     const socket = require("node:net").connect({ host, port });
     socket.on("data", (chunk) => console.log(String(chunk))).end("through")`,
  ];
  const options = () => ["run", "--to", authority(), "--names", "env", "--env", "TARGET"];

  test("lets a program's connection leave from a published address", async () => {
    const ended = await start([...options(), "--", ...program], { TARGET: authority() }).ended;
    expect(ended).toMatchObject({ code: 0, stdout: "through\n" });
    expect(callers).toEqual([expect.stringMatching(/^127\.0\.0\.[23]$/)]);
  });

  test("does not start it for a client that the relay does not know", async () => {
    const url = stack.relayUrl.replace("//dev:", "//nobody:");
    const ended = await start([...options(), "--", ...program], { TARGET: authority(), HOLDFAST_URL: url })
      .ended;
    expect(ended).toMatchObject({ code: 77, stdout: "" });
    expect(ended.stderr).toContain("client_unknown");
    expect(callers).toEqual([]);
  });

  test("stops it once the client was deleted", async () => {
    const running = start([...options(), "--", ...LISTENING], { TARGET: authority() });
    await running.says("ready");
    const [, host, port] = /is at (127[0-9.]+):(\d+)/.exec(running.stderr())!;
    const { version } = await adminCall(stack.operator, "GET", "/admin/clients/dev");
    await adminCall(stack.operator, "DELETE", "/admin/clients/dev", { ifMatch: version });
    // Until the edge has seen it, connections still open.
    let end: ProcessEnd | undefined;
    void running.ended.then((ended) => (end = ended));
    await eventually(
      async () => {
        connect({ host: host!, port: Number(port) })
          .on("error", () => {})
          .end("through")
          .resume();
        await new Promise((later) => setTimeout(later, 500));
        return end !== undefined;
      },
      "the command is stopped",
      40_000,
    );
    expect(end).toMatchObject({ code: 77, stdout: "ready\ngot SIGTERM\n" });
    expect(end!.stderr).toContain("the relay refuses the token. client_unknown");
  }, 60_000);
});
