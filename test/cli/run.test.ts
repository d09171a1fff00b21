import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import {
  HOLDFAST,
  type HoldfastProcess,
  LISTENING,
  nodeScript,
  startHoldfast,
  startWords,
} from "../support/holdfast-process.ts";
import { startStreamRelay, type StreamRelay } from "../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

let relay: StreamRelay;
let target: TcpTarget;
let dir: string;

beforeAll(async () => {
  relay = await startStreamRelay();
  target = await startTcpTarget((socket) => socket.pipe(socket));
  dir = mkdtempSync(join(tmpdir(), "holdfast-run-"));
});
afterAll(async () => {
  await Promise.all([relay.close(), target.close()]);
  rmSync(dir, { recursive: true });
});
afterEach(() => {
  relay.refuse = undefined;
  relay.seen.length = 0;
});

/** `holdfast run` for the target, whose host is rewritten in TARGET. */
function run(
  command: readonly string[],
  options: readonly string[] = [],
  env: Record<string, string> = {},
): HoldfastProcess {
  const to = ["--to", `127.0.0.1:${target.port}`, "--names", "env", "--env", "TARGET"];
  return startHoldfast(["run", ...to, ...options, "--", ...command], {
    env: { HOLDFAST_URL: relay.url, TARGET: `127.0.0.1:${target.port}`, ...env },
    cwd: dir,
  });
}

const ECHO = nodeScript(`
  import { connect } from "node:net";
  const [host, port] = process.env.TARGET.split(":");
  const socket = connect({ host, port });
  socket.on("data", (chunk) => console.log(host, String(chunk)));
  socket.on("error", (error) => console.log(error.code));
  socket.end("through");
`);

describe("holdfast run", () => {
  test("has everything ready before the command starts, and ends as it does", async () => {
    const ended = await run(ECHO).ended;
    expect(ended.stdout).toMatch(/^127\.(6[4-9]|[7-9][0-9]|1[0-2][0-9])\.[0-9.]+ through\n$/);
    expect([ended.code, ended.signal]).toEqual([0, null]);
    expect(ended.stderr).toMatch(/^holdfast: 127\.0\.0\.1:\d+ is at 127\./m);
    // But for what is asked for ahead, which this relay doesn't have.
    const asked = relay.seen.filter(({ park }) => park !== true);
    expect(asked.map(({ url }) => url)).toEqual(["tcp://holdfast-check.invalid:1", target.url]);
  });

  test("takes destinations from the environment and says with --quiet what goes wrong alone", async () => {
    const env = { HOLDFAST_DESTINATIONS: `127.0.0.1:${target.port}`, HOLDFAST_URL: relay.url };
    const { ended } = startHoldfast(["run", "-q", "--names", "env", "--", "true"], { env, cwd: dir });
    const { code, stdout, stderr } = await ended;
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toMatch(/^holdfast: no name leads to these: 127\.0\.0\.1:\d+ is at 127\.[0-9.:]+\n$/);
  });

  test("tells where a destination is once", async () => {
    const env = { HOLDFAST_URL: relay.url };
    const args = ["run", "--to", `localhost:${target.port}`, "--", "true"];
    const { stderr } = await startHoldfast(args, { env, cwd: dir }).ended;
    expect(stderr.match(/is at/g)).toHaveLength(1);
  });

  test.each([
    ["its code", ["sh", "-c", "exit 42"], 42, null],
    ["a code of the agent's own kind", ["sh", "-c", "exit 77"], 77, null],
    ["its signal", ["sh", "-c", "kill -TERM $$"], null, "SIGTERM"],
    ["a kill", ["sh", "-c", "kill -KILL $$"], null, "SIGKILL"],
    ["no such command", ["/nowhere/to/be/found"], 127, null],
    ["no such command in PATH", ["holdfast-has-no-such-command"], 127, null],
  ])("ends with %s", async (_, command, code, signal) => {
    const ended = await run(command).ended;
    expect([ended.code, ended.signal]).toEqual([code, signal]);
  });

  test("tells a file that can't be executed", async () => {
    const file = join(dir, "plain.txt");
    writeFileSync(file, "text", { mode: 0o644 });
    const ended = await run([file]).ended;
    expect(ended.code).toBe(126);
    expect(ended.stderr).toContain(`holdfast: ${file} can't be started: EACCES\n`);
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"] as const)(
    "passes %s on, once",
    async (signal) => {
      const running = run(LISTENING);
      await running.says("ready");
      running.child.kill(signal);
      const ended = await running.ended;
      expect(ended.stdout).toBe(`ready\ngot ${signal}\n`);
      expect(ended.code).toBe(3);
    },
  );

  test("leaves a terminal's Ctrl-C to the terminal", async () => {
    const file = join(dir, "listening.mjs");
    writeFileSync(file, LISTENING.at(-1)!);
    const options = ["run", "-q", "--to", "127.0.0.1:1", "--names", "env"];
    // A shell that stayed would get the signal, too, and not every shell waits then.
    const line = ["exec", process.execPath, HOLDFAST, ...options, "--", process.execPath, file].join(" ");
    const running = startWords(["script", "-qec", line, "/dev/null"], {
      env: { HOLDFAST_URL: relay.url },
      cwd: dir,
    });
    await running.says("ready");
    running.child.stdin!.write("\x03");
    const ended = await running.ended;
    expect(ended.stdout.match(/got SIGINT/g)).toHaveLength(1);
    expect(ended.code).toBe(3);
  });

  test("gives the command the proxies, HOLDFAST_URL and its own arguments as they are", async () => {
    const running = run(
      ["sh", "-c", 'env; echo "args: $*"', "sh", "--help", "-h", "--to", "x"],
      ["--hosts", "*.vendor.io"],
      {
        HTTP_PROXY: "http://corporate:1",
        no_proxy: "internal.example.com",
      },
    );
    const { stdout, code } = await running.ended;
    expect(code).toBe(0);
    const env = new Map(
      stdout
        .split("\n")
        .map((line): [string, string] => [line.split("=")[0]!, line.slice(line.indexOf("=") + 1)]),
    );
    expect(env.get("HTTP_PROXY")).toMatch(/^http:\/\/holdfast:[A-Za-z0-9_-]{32}@127\.0\.0\.1:\d+$/);
    for (const name of ["HTTPS_PROXY", "http_proxy", "https_proxy", "QUOTAGUARDSTATIC_URL"]) {
      expect(env.get(name)).toBe(env.get("HTTP_PROXY"));
    }
    expect(env.get("ALL_PROXY")).toMatch(/^socks5h:\/\/holdfast:[A-Za-z0-9_-]{32}@127\.0\.0\.1:\d+$/);
    expect(env.get("no_proxy")).toBe(env.get("NO_PROXY"));
    expect(env.get("NO_PROXY")).toMatch(
      /^localhost,.*,127\.0\.0\.0\/8,::1,.*169\.254\.169\.254,.*,internal\.example\.com$/,
    );
    expect(env.get("NODE_USE_ENV_PROXY")).toBe("1");
    expect(env.get("HOLDFAST_URL")).toBe(relay.url);
    expect(stdout).toContain("args: --help -h --to x\n");
  });

  test("hides HOLDFAST_URL and leaves proxies alone where it is asked to", async () => {
    const { stdout } = await run(["env"], ["--hide-url", "--no-proxies"], {
      HTTP_PROXY: "http://corporate:1",
    }).ended;
    expect(stdout).not.toContain("HOLDFAST_URL");
    expect(stdout).toContain("HTTP_PROXY=http://corporate:1\n");
    expect(stdout).not.toMatch(/NODE_USE_ENV_PROXY|QUOTAGUARD/);
  });

  test("lets a program's HTTP go by the relay by the variables alone", async () => {
    const http = await startTcpTarget((socket) => {
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
    });
    const curl = ["curl", "-sS", "--noproxy", "", `http://127.0.0.1:${http.port}/`];
    const ended = await run(curl, ["--hosts", "127.0.0.1"]).ended;
    await http.close();
    expect([ended.stdout, ended.code]).toEqual(["hi", 0]);
    expect(relay.seen.map(({ url }) => url)).toContain(http.url);
  });

  test.each([
    ["the client is unknown", "client_unknown"],
    ["the key is another one", "token_signature"],
    ["the clock is off", "token_expired"],
  ] as const)("does not start the command where %s", async (_, code) => {
    relay.refuse = new RelayError(code, "not you");
    const ended = await run(["sh", "-c", "echo started"]).ended;
    expect([ended.code, ended.stdout]).toEqual([77, ""]);
    expect(ended.stderr).toMatch(
      new RegExp(`^holdfast: ${code}: not you\\. .+ The command was not started\\.\n$`),
    );
  });

  test("goes on while the relay can't be reached, and reaches it when it is back", async () => {
    relay.refuse = "destroy";
    const running = run(ECHO);
    await expect
      .poll(() => running.stderr(), { timeout: 20_000 })
      .toContain("the relay can't be reached, and is tried again");
    relay.refuse = undefined;
    const ended = await running.ended;
    expect(ended.stdout).toContain("through");
    expect(ended.code).toBe(0);
  });

  test("--require wants the relay at the start", async () => {
    relay.refuse = "destroy";
    const ended = await run(["sh", "-c", "echo started"], ["--require"]).ended;
    expect([ended.code, ended.stdout]).toEqual([69, ""]);
    expect(ended.stderr).toContain("edge_unreachable");
  });

  test("stops the command when the token is refused later", async () => {
    const running = run(LISTENING);
    await running.says("ready");
    relay.refuse = new RelayError("client_unknown", "revoked");
    const at = /is at (127[0-9.]+):(\d+)/.exec(running.stderr())!;
    await startTcpClient(at[1]!, Number(at[2]));
    const ended = await running.ended;
    expect(ended.stdout).toBe("ready\ngot SIGTERM\n");
    expect(ended.code).toBe(77);
    expect(ended.stderr).toContain("holdfast: the relay refuses the token. client_unknown: revoked.");
  });

  test("--keep-going leaves it running", async () => {
    const running = run(LISTENING, ["--keep-going"]);
    await running.says("ready");
    relay.refuse = new RelayError("client_unknown", "revoked");
    const at = /is at (127[0-9.]+):(\d+)/.exec(running.stderr())!;
    await startTcpClient(at[1]!, Number(at[2]));
    await expect.poll(() => running.stderr(), { timeout: 20_000 }).toContain("the relay refuses the token");
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(3);
  });

  test("ends by a signal that comes before the command is started", async () => {
    relay.refuse = "silent";
    const before = relay.attempts();
    const running = run(["sh", "-c", "echo started"]);
    await expect.poll(relay.attempts, { timeout: 20_000 }).toBeGreaterThan(before);
    running.child.kill("SIGTERM");
    const ended = await running.ended;
    expect([ended.signal, ended.stdout]).toEqual(["SIGTERM", ""]);
  });

  test("leaves nothing listening", async () => {
    const ended = await run(["sleep", "0"]).ended;
    const [, host, port] = /is at (127[0-9.]+):(\d+)/.exec(ended.stderr)!;
    const error = await new Promise<NodeJS.ErrnoException>((done) =>
      connect(Number(port), host).once("error", done),
    );
    expect(error.code).toBe("ECONNREFUSED");
  });

  test.each([
    ["no command", ["--to", "a.test:1"], "name the command behind --"],
    ["a command without --", ["--to", "a.test:1", "npm", "start"], "as in holdfast run -- npm start"],
    ["nothing to relay", ["--", "true"], "nothing is to go by the relay"],
    ["an unknown option", ["--too", "a.test:1", "--", "true"], "Unknown option '--too'"],
    ["a bad destination", ["--to", "a.test", "--", "true"], "names no port"],
  ])("is wrong usage with %s", async (_, args, why) => {
    const ended = await startHoldfast(["run", ...args], { env: { HOLDFAST_URL: relay.url }, cwd: dir }).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(why);
    expect(ended.stderr).toContain("Usage: holdfast run");
  });

  test("looks for nss_wrapper where HOLDFAST_NSS_WRAPPER says", async () => {
    const env = { HOLDFAST_URL: relay.url, HOLDFAST_NSS_WRAPPER: join(dir, "none.so") };
    const args = ["run", "--to", "db.holdfast-test.example:5432", "--names", "nss", "--", "true"];
    const ended = await startHoldfast(args, { env, cwd: dir }).ended;
    expect(ended.code).toBe(125);
    expect(ended.stderr).toContain("libnss_wrapper.so can't be found");
  });

  test("tells a HOLDFAST_URL that can't be read, and never its key", async () => {
    const url = relay.url.replace(/:[^:@]+@/, ":secret-part@");
    const ended = await run(["true"], [], { HOLDFAST_URL: url }).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("the private key in HOLDFAST_URL can't be read");
    expect(ended.stderr).not.toContain("secret-part");
  });
});

async function startTcpClient(host: string, port: number): Promise<void> {
  await new Promise<void>((done) => {
    connect({ host, port })
      .on("error", () => {})
      .once("close", () => done());
  });
}
