import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { startHoldfast } from "../support/holdfast-process.ts";
import { readRaw } from "../support/raw-http.ts";
import { run } from "../support/run.ts";
import { freePort } from "../support/stack.ts";
import { startStreamRelay, type StreamRelay } from "../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

let relay: StreamRelay;
let echo: TcpTarget;
let web: TcpTarget;
let dir: string;

beforeAll(async () => {
  relay = await startStreamRelay();
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  web = await startTcpTarget((socket) => {
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
  });
  dir = mkdtempSync(join(tmpdir(), "holdfast-services-"));
});
afterAll(async () => {
  await Promise.all([relay.close(), echo.close(), web.close()]);
  rmSync(dir, { recursive: true });
});
afterEach(() => {
  relay.refuse = undefined;
  relay.seen.length = 0;
});

const start = (args: string[], env: Record<string, string> = {}) =>
  startHoldfast(args, { env: { HOLDFAST_URL: relay.url, ...env }, cwd: dir });

async function talk(host: string, port: number): Promise<string> {
  const socket = connect({ host, port, allowHalfOpen: true }).on("error", () => {});
  socket.end("through");
  return readRaw(socket);
}

describe("holdfast tunnel", () => {
  test("writes where it listens, and lets connections through until a signal comes", async () => {
    const running = start(["tunnel", `127.0.0.1:${echo.port}`]);
    await running.says(/^127\.0\.0\.1:\d+\n$/);
    const port = Number(running.stdout().trim().split(":")[1]);
    expect(await talk("127.0.0.1", port)).toBe("through");
    expect(relay.seen.at(-1)!.url).toBe(echo.url);
    running.child.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  test("listens where it is told to", async () => {
    const port = await freePort("127.9.9.9");
    const running = start(["tunnel", "--listen", `127.9.9.9:${port}`, `127.0.0.1:${echo.port}`]);
    await running.says(`127.9.9.9:${port}\n`);
    expect(await talk("127.9.9.9", port)).toBe("through");
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(0);
  });

  test("tells a port that is in use", async () => {
    const listen = `127.0.0.1:${echo.port}`;
    const ended = await start(["tunnel", "--listen", listen, `127.0.0.1:${echo.port}`]).ended;
    expect([ended.code, ended.stdout]).toEqual([125, ""]);
    expect(ended.stderr).toBe(`holdfast: ${listen} is in use: choose another listen for 127.0.0.1\n`);
    const proxy = await start(["proxy", "--hosts", "a.test", "--socks-port", String(echo.port)]).ended;
    expect([proxy.code, proxy.stdout]).toEqual([125, ""]);
    expect(proxy.stderr).toBe(`holdfast: ${listen} is in use: choose another port\n`);
  });

  test("goes on when nobody reads its lines any more", async () => {
    const running = start(["tunnel", `127.0.0.1:${echo.port}`]);
    await running.says(/^127\.0\.0\.1:\d+\n$/);
    const port = Number(running.stdout().trim().split(":")[1]);
    running.child.stderr!.destroy();
    relay.refuse = new RelayError("target_not_allowed", "not there");
    expect(await talk("127.0.0.1", port)).toBe("");
    relay.refuse = undefined;
    expect(await talk("127.0.0.1", port)).toBe("through");
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(0);
  });

  test.each([
    [["tunnel"], "name one destination"],
    [["tunnel", "a.test:1", "b.test:1"], "name one destination"],
    [["tunnel", "a.test"], "names no port"],
    [["tunnel", "--listen", "0.0.0.0:1", "a.test:1"], "--listen takes"],
    [["tunnel", "--listen", "x", "a.test:1"], "--listen takes"],
  ])("%j is wrong usage", async (args, why) => {
    const ended = await start(args).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(why);
  });

  test("ends where the relay refuses the token, at once or later", async () => {
    relay.refuse = new RelayError("client_unknown", "not you");
    expect((await start(["tunnel", "a.test:1"]).ended).code).toBe(77);
    relay.refuse = undefined;
    const running = start(["tunnel", `127.0.0.1:${echo.port}`]);
    await running.says(/:\d+\n/);
    relay.refuse = new RelayError("client_unknown", "revoked");
    expect(await talk("127.0.0.1", Number(running.stdout().trim().split(":")[1]))).toBe("");
    const ended = await running.ended;
    expect(ended.code).toBe(77);
    expect(ended.stderr).toContain("the relay refuses the token. client_unknown: revoked.");
  });
});

describe("holdfast proxy", () => {
  test("writes its URLs as variables, and serves until a signal comes", async () => {
    const running = start(["proxy", "--hosts", "127.0.0.1"]);
    await running.says(/^HTTP_PROXY=(\S+)\nHTTPS_PROXY=\1\nALL_PROXY=socks5h:\S+\n$/);
    const urls = running
      .stdout()
      .split("\n")
      .map((line) => line.slice(line.indexOf("=") + 1));
    for (const url of [urls[0]!, urls[2]!]) {
      const curl = await run("curl", ["-sS", "--noproxy", "", "-x", url, `http://127.0.0.1:${web.port}/`]);
      expect(curl).toMatchObject({ code: 0, stdout: "hi" });
    }
    expect(relay.seen.filter(({ url }) => url === web.url)).toHaveLength(2);
    running.child.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ code: 0, stderr: "" });
  });

  test("takes ports and a password that are given", async () => {
    const [port, socks] = [await freePort(), await freePort()];
    const password = "a password: of 25 letters";
    const running = start(
      ["proxy", "--hosts", "127.0.0.1", "--port", String(port), "--socks-port", String(socks)],
      {
        HOLDFAST_PROXY_PASSWORD: password,
      },
    );
    const at = (to: number) => `holdfast:${encodeURIComponent(password)}@127.0.0.1:${to}\n`;
    await running.says(`ALL_PROXY=socks5h://${at(socks)}`);
    expect(running.stdout()).toContain(`HTTP_PROXY=http://${at(port)}`);
    const args = ["-sS", "--noproxy", "", "-x", `http://127.0.0.1:${port}`, "-U", `holdfast:${password}`];
    expect((await run("curl", [...args, `http://127.0.0.1:${web.port}/`])).stdout).toBe("hi");
    running.child.kill("SIGTERM");
    await running.ended;
  });

  test.each([
    [["proxy"], {}, "nothing is to go by the relay"],
    [["proxy", "--hosts", "a.test", "--port", "70000"], {}, "--port takes a port"],
    [["proxy", "--hosts", "a.test"], { HOLDFAST_PROXY_PASSWORD: "short-secret" }, "takes 16 to 255 bytes"],
    [["proxy", "--hosts", "https://a.test"], {}, "hosts entry"],
  ])("%j is wrong usage", async (args, env, why) => {
    const ended = await start(args, env).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(why);
    expect(ended.stderr).not.toContain("short-secret");
  });
});
