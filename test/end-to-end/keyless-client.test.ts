import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { createRelay, createScopeToken, relayInfo } from "../../client/index.ts";
import { createOpener } from "../../client/node/opener.ts";
import { resolveService } from "../../client/resolve.ts";
import { failureOf } from "../support/fidelity.ts";
import { HOLDFAST, nodeScript, startHoldfast } from "../support/holdfast-process.ts";
import { type OidcIssuer, type OidcServer, startOidcServer } from "../support/oidc-issuer.ts";
import { type PlatformServer, startPlatform } from "../support/platforms.ts";
import { testStack } from "../support/stack.ts";
import { openSocket } from "../support/stream-caller.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** Clients without a key, at an edge in workerd and two nodes; the platform is one of the test's, with GitHub's interface. */
let stack: Awaited<ReturnType<typeof testStack>>;
let echo: TcpTarget;
let issuers: OidcServer;
let issuer: OidcIssuer;
let github: PlatformServer;
let relayUrl: string;
/** Whose job it is. */
let repository = "456789";
const dir = mkdtempSync(join(tmpdir(), "holdfast-keyless-"));

beforeAll(async () => {
  [echo, issuers] = await Promise.all([
    startTcpTarget((socket) => void socket.pipe(socket)),
    startOidcServer(),
  ]);
  stack = await testStack();
  issuer = issuers.issuer("/github", stack.edge);
  github = await startPlatform(({ url, headers }, response) => {
    const aud = new URL(url, "http://any").searchParams.get("audience");
    if (headers.authorization !== "Bearer of-the-job") return void response.writeHead(401).end();
    const value = issuer.token("github", { claims: { aud, repository_id: repository } });
    response.end(JSON.stringify({ count: 1, value }));
  });
  const issuerRules = [{ issuer: issuer.url, claims: { repository_id: "456789" } }];
  const body = { id: "ci", keys: [], issuers: issuerRules, allow: [stack.target, echo.url] };
  await adminCall(stack.operator, "PUT", "/admin/clients/ci", { body });
  relayUrl = stack.edge.replace("://", "://ci@");
}, 60_000);
afterAll(async () => {
  await stack.stop();
  await Promise.all([echo.close(), issuers.shut(), github.close()]);
  rmSync(dir, { recursive: true });
});

/** What a job of GitHub's has. */
const job = () => ({
  HOLDFAST_URL: relayUrl,
  GITHUB_ACTIONS: "true",
  ACTIONS_ID_TOKEN_REQUEST_URL: `${github.at}/token?api-version=2.0`,
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: "of-the-job",
});
const holdfast = (args: readonly string[], env: Readonly<Record<string, string>> = job()) =>
  startHoldfast(args, { env, cwd: stack.dir }).ended;
const identityToken = async (audience: string) => issuer.token("github", { claims: { aud: audience } });
const authority = () => `127.0.0.1:${echo.port}`;

describe("the SDK", () => {
  test("fetches under one certificate", async () => {
    const relay = createRelay(relayUrl, { identityToken, receipt: true });
    const before = issuer.asked.keys;
    const answers = await Promise.all([1, 2, 3, 4].map((n) => relay.fetch(`${stack.target}/${n}`)));
    for (const response of answers) {
      expect(response.status).toBe(200);
      expect(relayInfo(response)!.receipt).toMatchObject({ sub: "ci" });
    }
    expect(issuer.asked.keys - before).toBeLessThanOrEqual(1);
  });

  test.each(["edge", "direct"] as const)("opens streams: %s", async (via) => {
    const connection = await createOpener(relayUrl, { identityToken, via })({
      host: "127.0.0.1",
      port: echo.port,
    });
    connection.write("over there");
    const [chunk] = await new Promise<[Buffer]>((resolve) =>
      connection.once("data", (data: Buffer) => resolve([data])),
    );
    expect(chunk.toString()).toBe("over there");
    connection.destroy();
  });

  test("is told by code what is refused, and never a token", async () => {
    const other = async (audience: string) =>
      issuer.token("github", { claims: { aud: audience, repository_id: "1" } });
    const error = await failureOf(createRelay(relayUrl, { identityToken: other }).fetch(stack.target));
    expect(error).toMatchObject({
      code: "platform_token_refused",
      reached: "no",
      detail: expect.stringContaining("repository_id"),
    });
    const own = async () => issuer.token("github", { claims: { aud: "https://github.com/acme" } });
    expect(await failureOf(createRelay(relayUrl, { identityToken: own }).fetch(stack.target))).toMatchObject({
      code: "platform_token_refused",
      detail: expect.stringContaining("aud"),
    });
    const nobody = createRelay(relayUrl.replace("ci@", "nobody@"), { identityToken });
    expect(await failureOf(nobody.fetch(stack.target))).toMatchObject({
      code: "client_unknown",
      reached: "no",
    });
    const resolved = resolveService(relayUrl, "cluster0.abc.example", { identityToken });
    expect(await failureOf(resolved)).toMatchObject({ code: "target_not_allowed" });
  });

  test("signs scope tokens that end with their certificate", async () => {
    const make = (ttlSeconds: number) =>
      createScopeToken(relayUrl, { identityToken, act: "stream", allow: [echo.url], ttlSeconds });
    const { socket, refused } = await openSocket(stack.edge, {
      path: `/stream/${await make(300)}?address=${authority()}`,
    });
    expect(refused).toBeUndefined();
    socket?.close();
    // The issuer's tokens live for 5 min.
    expect(await failureOf(make(3_600))).toMatchObject({
      code: "token_lifetime",
      detail: expect.stringContaining("3600 s"),
    });
  });
});

describe("holdfast", () => {
  test("fetch goes by the platform's token", async () => {
    const { code, stdout, stderr } = await holdfast(["fetch", "-v", `${stack.target}/from-a-job`]);
    expect([code, stderr]).toEqual([0, expect.stringContaining("client ci by")]);
    expect(stdout).toContain("/from-a-job");
    expect(stderr).not.toContain("eyJ");
  });

  test("run starts a command that goes by the relay, and can use it by itself", async () => {
    const script = nodeScript(`
      import { execFileSync } from "node:child_process";
      import { connect } from "node:net";
      const socket = connect(${echo.port}, "127.0.0.1", () => socket.write("ping"));
      socket.once("data", (data) => {
        socket.destroy();
        const args = [${JSON.stringify(HOLDFAST)}, "fetch", "--max-time", "20", ${JSON.stringify(`${stack.target}/child`)}];
        const own = execFileSync(process.execPath, args).toString();
        console.log(data.toString(), own.includes("/child"), process.env.NO_PROXY.includes("169.254.169.254"));
      });
    `);
    const { code, stdout, stderr } = await holdfast(["run", "--to", authority(), "--", ...script]);
    expect([stderr, stdout.trim(), code]).toEqual([expect.any(String), "ping true true", 0]);
  });

  test("doctor tells whose word it is, and how long the certificate is good", async () => {
    const { code, stdout } = await holdfast(["doctor", "--to", authority()]);
    expect(stdout.split("\n").slice(1, 7)).toEqual([
      `✓ HOLDFAST_URL: client ci by ${stack.edge}, without a private key`,
      expect.stringMatching(/^✓ edge: /),
      expect.stringMatching(/^✓ clock: /),
      expect.stringMatching(/^✓ relay URLs: /),
      "✓ platform: GitHub Actions tells who is asking",
      expect.stringMatching(
        /^✓ certificate: the edge gave one for an Ed25519 key, for \d{3} s, until \d{4}-\d\d-\d\dT[\d:]{8}Z$/,
      ),
    ]);
    expect(stdout).toContain("✓ token: the relay takes it");
    expect(code).toBe(0);
  });

  test("token takes a file's word, and writes what the door takes", async () => {
    const path = join(dir, "token");
    writeFileSync(path, await identityToken(stack.edge));
    const env = { HOLDFAST_URL: relayUrl, HOLDFAST_ID_TOKEN_FILE: path };
    const made = await holdfast(["token", "--act", "stream", "--allow", echo.url, "--ttl", "2m"], env);
    expect(made.code).toBe(0);
    expect(made.stderr).toMatch(
      /^holdfast: its token's jti is \S+: `holdfast token --revoke.*` ends it, with the deployment's operator key$/m,
    );
    expect(made.stderr).not.toContain(made.stdout.trim());
    const { socket, refused } = await openSocket(stack.edge, {
      path: `/stream/${made.stdout.trim()}?address=${authority()}`,
    });
    expect(refused).toBeUndefined();
    socket?.close();
  });

  test.each<[string, readonly string[], number, RegExp]>([
    [
      "fetch",
      ["fetch", "https://any.example"],
      1,
      /platform_token_missing: .*Looked for: HOLDFAST_ID_TOKEN_FILE/,
    ],
    ["run", ["run", "--to", "a.example:1", "--", "true"], 2, /no platform tells who is asking/],
    ["doctor", ["doctor"], 1, /✗ platform: platform_token_missing: /],
  ])("%s says what it looked for where nothing is there", async (_, args, code, why) => {
    const ended = await holdfast(args, { HOLDFAST_URL: relayUrl });
    expect([ended.code, ended.stdout + ended.stderr]).toEqual([code, expect.stringMatching(why)]);
  });

  test("run is refused at once where it is another's job", async () => {
    repository = "1";
    const { code, stderr } = await holdfast(["run", "--to", authority(), "--", "true"]).finally(() => {
      repository = "456789";
    });
    expect([code, stderr]).toEqual([77, expect.stringContaining("platform_token_refused")]);
  });

  test("run waits for a platform that is out of order, as for a relay", async () => {
    github.fault = (response) => response.writeHead(500).end();
    const { code, stderr } = await holdfast(["run", "--require", "--to", authority(), "--", "true"]).finally(
      () => {
        github.fault = undefined;
      },
    );
    expect([code, stderr]).toEqual([69, expect.stringContaining("GitHub's token service answered 500")]);
  });
});
