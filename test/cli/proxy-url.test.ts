import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { fetchProxies } from "../../client/proxy-list.ts";
import { UsageError } from "../../cli/command.ts";
import { proxyUrlCommand } from "../../cli/commands/proxy-url.ts";
import { KEY_FILES } from "../../cli/init/keys.ts";
import { STATE_FILE } from "../../cli/init/plan.ts";
import { assertProxyTargets } from "../../cli/proxy-targets.ts";
import { generateClientKey, importPrivateKey } from "../../protocol/keys.ts";
import { signToken, TOKEN_TYPES } from "../../protocol/tokens.ts";
import { type Ran, run } from "../support/run.ts";

const ENTRY = join(resolve(import.meta.dirname, "../.."), "cli/holdfast.mjs");
const HANDLE = "hf_0123456789abcdefghijklmnopqrstuv";
const HANDLE_ID = "abcdefghijklmnopqrstuv";
const ALL = [
  "https://proxy.example.com:9443",
  "http://proxy.example.com:9293",
  "socks5h://proxy.example.com:1080",
];

let dir: string;
let server: Server;
let edge: string;
let relayUrl: string;
/** What the edge publishes; undefined: it has no such thing. */
let published: unknown = { proxies: ALL };
/** Instead of the edge's list of addresses. */
let egress: (() => string) | undefined;
/** What handles were asked for. */
const asked: { readonly authorization: string; readonly token: string }[] = [];
/** Paths that were asked for. */
let paths: string[] = [];

beforeAll(async () => {
  const signing = await generateClientKey();
  const client = await generateClientKey();
  const operator = await generateClientKey();
  const key = await importPrivateKey(signing.privateKey);
  const answer = async (request: IncomingMessage): Promise<[status: number, body: string]> => {
    paths.push(request.url!);
    switch (request.url!) {
      case "/.well-known/proxy.json":
        return published === undefined
          ? [404, ""]
          : [200, typeof published === "string" ? published : JSON.stringify(published)];
      case "/.well-known/jwks.json":
        return [200, JSON.stringify({ keys: [{ ...signing.publicJwk, kid: "edge-1" }] })];
      case "/.well-known/egress.jwt": {
        const iat = Math.floor(Date.now() / 1_000);
        const entry = (address: string, node: string) => ({
          address,
          family: "ipv4",
          node,
          since: "2026-11-22",
        });
        const addresses = [entry("203.0.113.10", "node-1"), entry("203.0.113.20", "node-2")];
        const claims = { issuer: edge, addresses, planned: [], nodes: [], iat, exp: iat + 3_600 };
        return egress === undefined
          ? [200, await signToken("egress", claims, key, "edge-1")]
          : [200, egress()];
      }
      case "/admin/handles": {
        const { token } = JSON.parse(await text(request)) as { token: string };
        asked.push({ authorization: request.headers["relay-authorization"] as string, token });
        const { exp, iss } = decodeJwt(token);
        return [201, JSON.stringify({ id: HANDLE_ID, handle: HANDLE, client: iss, expires: exp })];
      }
      default:
        return [500, ""];
    }
  };
  server = createServer((request, response) => {
    void answer(request).then(([status, body]) => response.writeHead(status).end(body));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  edge = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  relayUrl = edge.replace("//", `//shop:${client.privateKey}@`);
  dir = mkdtempSync(join(tmpdir(), "holdfast-proxy-url-"));
  deployment("deploy", edge, operator.privateKey);
  deployment("another", "https://edge.example.net", operator.privateKey);
});
afterEach(() => {
  published = { proxies: ALL };
  egress = undefined;
  paths = [];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true });
});

function deployment(name: string, of: string, operatorKey: string): void {
  const write = (path: string, value: unknown) => {
    mkdirSync(dirname(join(dir, name, path)), { recursive: true });
    writeFileSync(join(dir, name, path), JSON.stringify(value));
  };
  write(STATE_FILE, { edge: of, clients: [] });
  write(KEY_FILES.operator, { kid: "operator", d: operatorKey });
}

const proxyUrl = (...args: readonly string[]): Promise<Ran> =>
  run(process.execPath, [ENTRY, "proxy-url", ...args], { env: { HOLDFAST_URL: relayUrl }, cwd: dir });
const BANK = ["--allow", "https://api.bank.com", "--ttl", "30d"] as const;

/** The one line of stdout, taken apart by hand: a URL parser would know no SOCKS. */
function parts({ stdout }: Ran) {
  const [, scheme, user, password, authority] = /^(\w+):\/\/([^:]+):([^@]+)@(\S+)\n$/.exec(stdout)!;
  return { scheme, user, password: password!, authority };
}

describe("holdfast proxy-url", () => {
  test("writes an https URL whose password is a scope token for the proxy", async () => {
    const ran = await proxyUrl(...BANK, "--allow", "tcp://db.example.com:5432");
    expect(ran.code).toBe(0);
    const { password, ...rest } = parts(ran);
    expect(rest).toEqual({ scheme: "https", user: "shop", authority: "proxy.example.com:9443" });
    expect(new URL(ran.stdout).password).toBe(password);
    expect(decodeProtectedHeader(password).typ).toBe(TOKEN_TYPES.scope);
    const { iat, exp, jti: _, ...claims } = decodeJwt(password);
    expect(exp! - iat!).toBe(30 * 86_400);
    expect(claims).toEqual({
      iss: "shop",
      aud: edge,
      act: "proxy",
      allow: ["https://api.bank.com", "tcp://db.example.com:5432"],
    });
  });

  test("tells on stderr what it opens, until when, and the addresses; and no secret", async () => {
    const ran = await proxyUrl(...BANK);
    const { password } = parts(ran);
    const { exp, jti } = decodeJwt(password);
    const until = new Date(exp! * 1_000).toISOString().replace(".000Z", "Z");
    expect(ran.stderr.replace("--revoke=", "--revoke ")).toBe(
      `holdfast: opens https://api.bank.com for client shop, until ${until}\n` +
        `holdfast: its token's jti is ${jti}: \`holdfast token --revoke ${jti} --client shop\` ends it, with the deployment's operator key\n` +
        "holdfast: targets see 203.0.113.10, 203.0.113.20: `holdfast ips` tells more of them\n",
    );
  });

  test("warns of a password in the clear", async () => {
    const ran = await proxyUrl(...BANK, "--scheme", "http");
    expect(parts(ran)).toMatchObject({ scheme: "http", authority: "proxy.example.com:9293" });
    expect(ran.stderr).toContain("crosses the network in the clear");
    expect(ran.stderr).not.toContain(parts(ran).password);
  });

  test("warns of a life that the edge admits only where a record says so", async () => {
    const within = await proxyUrl("--allow", "https://api.bank.com", "--ttl", "90d");
    expect(within.stderr).not.toContain("scopeSeconds");
    const beyond = await proxyUrl("--allow", "https://api.bank.com", "--ttl", "91d");
    expect(beyond.code).toBe(0);
    expect(beyond.stderr).toContain("more than 90 days");
  });

  test("puts a handle into the URL with --handle, made by the operator's key", async () => {
    asked.length = 0;
    const ran = await proxyUrl(...BANK, "--handle", "--out", "deploy");
    expect(ran.stdout).toBe(`https://shop:${HANDLE}@proxy.example.com:9443\n`);
    expect(ran.stderr).toMatch(
      new RegExp(`\`holdfast handle --revoke ${HANDLE_ID} --out /.*/deploy\` ends it`),
    );
    expect(ran.stderr).not.toContain(HANDLE);
    const [{ authorization, token }] = asked as [(typeof asked)[number]];
    expect(decodeJwt(authorization.slice("Bearer ".length))).toMatchObject({ iss: "operator", act: "admin" });
    expect(decodeJwt(token)).toMatchObject({ iss: "shop", act: "proxy", allow: ["https://api.bank.com"] });
  });

  test("makes a handle for socks5h unasked", async () => {
    const ran = await proxyUrl(...BANK, "--scheme", "socks5h", "-o", "deploy");
    expect(ran.stdout).toBe(`socks5h://shop:${HANDLE}@proxy.example.com:1080\n`);
    expect(ran.stderr).toContain("crosses the network in the clear");
  });

  test("says the port where the edge leaves it out", async () => {
    published = { proxies: ["https://proxy.example.com", "http://proxy.example.com/"] };
    expect(parts(await proxyUrl(...BANK)).authority).toBe("proxy.example.com:443");
    expect(parts(await proxyUrl(...BANK, "--scheme", "http")).authority).toBe("proxy.example.com:80");
  });

  test("with --node tells that node's address alone, and where the name has to lead", async () => {
    const ran = await proxyUrl(...BANK, "--node", "node-2");
    expect(decodeJwt(parts(ran).password)["node"]).toEqual(["node-2"]);
    expect(ran.stderr).toContain("targets see 203.0.113.20:");
    expect(ran.stderr).toContain("proxy.example.com:9443 has to lead to node-2 alone");
  });

  test("takes a limited http:// target, whose requests the proxy reads", async () => {
    const allow = "GET,POST http://legacy.example.com/v1/*";
    const ran = await proxyUrl("--allow", allow, "--ttl", "1h");
    expect(decodeJwt(parts(ran).password)["allow"]).toEqual([allow]);
  });

  test("writes the URL also where the addresses can't be proven, and says so", async () => {
    egress = () => "no token";
    const ran = await proxyUrl(...BANK);
    expect([ran.code, parts(ran).user]).toEqual([0, "shop"]);
    expect(ran.stderr).toContain("can't be told now (token_malformed");
    expect(ran.stderr).not.toContain("203.0.113");
  });
});

describe("holdfast proxy-url refuses", () => {
  test("targets that no proxy opens, all at once and before anything is asked", async () => {
    const limited = ["--allow", "https://a.example/x", "--allow", "PUT https://b.example"];
    const ran = await proxyUrl(...BANK, ...limited);
    expect([ran.code, ran.stdout, paths]).toEqual([1, "", []]);
    expect(ran.stderr).toContain("request_invalid");
    expect(ran.stderr).toContain("name https://a.example,");
    expect(ran.stderr).toContain("name https://b.example,");
    expect(ran.stderr).not.toContain("api.bank.com");
  });

  test.each([
    ["https://api.bank.com/v1/*", "https", "name https://api.bank.com,"],
    ["GET https://*.vendor.io:8443", "http", "name https://*.vendor.io:8443,"],
    ["GET https://*", "socks5h", "name https://*,"],
    ["http://legacy.example.com", "socks5h", "name tcp://legacy.example.com:80,"],
    ["http://[2001:db8::1]:8080/x", "socks5h", "name tcp://[2001:db8::1]:8080,"],
    ["http://*", "socks5h", "name tcp://host:80,"],
    ["tcp://*:22", "https", "opens every host by tcp"],
    ["api.bank.com", "https", "is not of the form"],
  ] as const)("%s by %s", (allow, scheme, told) => {
    expect(() => assertProxyTargets([allow], scheme)).toThrow(told);
  });

  test.each([
    ["https://api.bank.com", "socks5h"],
    ["tcp://db.example.com:5432", "socks5h"],
    ["GET http://*.vendor.io/v1/*", "http"],
  ] as const)("not %s by %s", (allow, scheme) => {
    expect(() => assertProxyTargets([allow], scheme)).not.toThrow();
  });

  test("an edge that publishes no proxy, and one without such a scheme", async () => {
    published = undefined;
    const none = await proxyUrl(...BANK);
    expect([none.code, none.stdout]).toEqual([1, ""]);
    expect(none.stderr).toContain("publishes no proxy: its operator opens the nodes' proxy door");
    published = { proxies: ALL.slice(1) };
    const others = await proxyUrl(...BANK);
    expect([others.code, others.stdout]).toEqual([1, ""]);
    expect(others.stderr).toContain("no https proxy: say --scheme http or socks5h");
  });

  test.each([
    ["an empty list", []],
    ["kinds that nobody knows here", ["quic://proxy.example.com", 7]],
    ["credentials", ["https://a:b@proxy.example.com:9443", "https://a@proxy.example.com:9443"]],
    ["a path", ["https://proxy.example.com:9443/x", "https://proxy.example.com:9443?x"]],
    ["no host", ["socks5h://:1080", "https://"]],
  ])("a list with %s: it has no proxy", async (_what, proxies) => {
    published = { proxies };
    expect(await fetchProxies(edge)).toEqual([]);
  });

  test.each([
    ["a page", "<html>", "proxy.json is no list of proxies"],
    ["another thing", { proxies: "https://proxy.example.com" }, "proxy.json is no list of proxies"],
    ["no end", "x".repeat(70_000), "proxy.json is longer than 65536 bytes"],
  ])("%s in the list's place", async (_what, list, told) => {
    published = list;
    await expect(fetchProxies(edge)).rejects.toThrow(told);
  });

  test("a handle without the operator's key, and says what it needs", async () => {
    const socks = await proxyUrl(...BANK, "--scheme", "socks5h");
    expect([socks.code, socks.stdout]).toEqual([1, ""]);
    expect(socks.stderr).toMatch(
      /at most 255 bytes.*takes the operator key.*holdfast-deploy has none \(ENOENT\).*--out/,
    );
    const other = await proxyUrl(...BANK, "--handle", "--out", "another");
    expect([other.code, other.stdout, paths]).toEqual([1, "", []]);
    expect(other.stderr).toContain("is of https://edge.example.net, and HOLDFAST_URL names");
  });

  test("wrong usage", async () => {
    const life = await proxyUrl("--allow", "https://api.bank.com", "--ttl", "1x");
    expect([life.code, life.stdout]).toEqual([2, ""]);
    expect(life.stderr).toContain("say how long it lives: --ttl 90d");
    const ran = await proxyUrl("--ttl", "1h");
    expect([ran.code, ran.stdout]).toEqual([2, ""]);
    expect(ran.stderr).toContain("name at least one target");
    expect(ran.stderr).toContain("Usage: holdfast proxy-url");
  });

  test.each([
    ["no time", ["--allow", "https://api.bank.com"]],
    ["a time of no unit", ["--allow", "https://api.bank.com", "--ttl", "30"]],
    ["a scheme that there isn't", [...BANK, "--scheme", "socks5"]],
    ["an option that there isn't", [...BANK, "--x"]],
    ["an argument", [...BANK, "x"]],
  ])("%s", async (_what, args) => {
    await expect(proxyUrlCommand.run(args)).rejects.toThrow(UsageError);
  });
});
