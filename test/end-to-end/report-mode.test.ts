import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { learnCommand } from "../../cli/commands/learn.ts";
import { KEY_FILES } from "../../cli/init/keys.ts";
import { STATE_FILE } from "../../cli/init/plan.ts";
import { adminCall } from "../../client/admin.ts";
import { createRelay, createScopeToken, isRelayError } from "../../client/index.ts";
import { OPERATOR_KEY_ID } from "../../dev/files.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import type { Observed } from "../../protocol/observed.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { eventually, logLines } from "../support/node-log.ts";
import { requestToken } from "../support/raw-caller.ts";
import { run } from "../support/run.ts";
import { freePort, testStack } from "../support/stack.ts";
import { openSocket, streamToken } from "../support/stream-caller.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** A client whose own list is not enforced, at each door of a whole relay; and what is learnt of it. */

const ENTRY = join(resolve(import.meta.dirname, "../.."), "cli/holdfast.mjs");
let stack: Awaited<ReturnType<typeof testStack>>;
let dns: DnsServer;
let echo: TcpTarget;
let plain: Server;
let httpOrigin: string;
let proxyPort: number;
let tunnelTarget: string;

beforeAll(async () => {
  dns = await startDnsServer();
  echo = await startTcpTarget((socket) => socket.pipe(socket));
  plain = createServer((_request, response) => void response.end("plain")).listen(0, "127.0.0.1");
  await once(plain, "listening");
  httpOrigin = `http://127.0.0.1:${(plain.address() as AddressInfo).port}`;
  tunnelTarget = `127.0.0.1:${echo.port}`;
  proxyPort = await freePort();
  dns.set("_mongodb._tcp.cluster0.acme.test", { SRV: [`${echo.port} shard-0.acme.test`] });
  dns.set("cluster0.acme.test", { TXT: ["authSource=admin"] });
  stack = await testStack({
    nodes: [{ id: "node-1", port: await freePort(), egress: "127.0.0.2", proxy: { http: proxyPort } }],
    nodeConfig: { nameServers: [dns.address] },
  });
  writeFolder();
});
afterAll(async () => {
  await stack.stop();
  plain.closeAllConnections();
  plain.close();
  await Promise.all([dns.close(), echo.close()]);
});

/** A folder by which `holdfast` finds the operator's key. */
const folder = () => join(stack.dir, "deployment");
function writeFolder(): void {
  const write = (path: string, value: unknown) => {
    mkdirSync(dirname(join(folder(), path)), { recursive: true });
    writeFileSync(join(folder(), path), JSON.stringify(value));
  };
  write(STATE_FILE, { edge: stack.edge, clients: [] });
  write(KEY_FILES.operator, { kid: OPERATOR_KEY_ID, d: stack.keys.operator.privateKey });
}

let clients = 0;

/** A client's own HOLDFAST_URL. */
async function newClient(mode: "enforce" | "report", allow: readonly string[] = ["https://only.test"]) {
  const id = `app-${++clients}`;
  const { publicJwk, privateKey } = await generateClientKey();
  const body = { id, keys: [publicJwk], allow, mode };
  await adminCall(stack.operator, "PUT", `/admin/clients/${id}`, { body });
  return { id, url: stack.edge.replace("//", `//${id}:${privateKey}@`) };
}

async function fetched(relayUrl: string, url: string): Promise<string> {
  try {
    await (await createRelay(relayUrl).fetch(url)).text();
    return "target";
  } catch (error) {
    if (!isRelayError(error)) throw error;
    return error.code;
  }
}

async function opened(path: string | undefined, token?: string): Promise<string> {
  const headers = token === undefined ? {} : { "Relay-Authorization": `Bearer ${token}` };
  const { socket, refused } = await openSocket(stack.edge, { ...(path !== undefined && { path }), headers });
  socket?.close();
  return refused?.code ?? "target";
}

const scoped = (relayUrl: string, act: "stream" | "proxy", allow: readonly string[]) =>
  createScopeToken(relayUrl, { act, allow: [...allow], ttlSeconds: 600 });

async function byScope(relayUrl: string, address: string, allow = [`tcp://${address}`]): Promise<string> {
  return opened(`/stream/${await scoped(relayUrl, "stream", allow)}?address=${address}`);
}

/** A request in the absolute form, or a CONNECT. */
async function proxied(relayUrl: string, to: string, allow: readonly string[]): Promise<string> {
  const { username } = new URL(relayUrl);
  const password = await scoped(relayUrl, "proxy", allow);
  const isTunnel = !to.startsWith("http:");
  const call = request({
    port: proxyPort,
    host: "127.0.0.1",
    method: isTunnel ? "CONNECT" : "GET",
    path: to,
    agent: false,
    headers: {
      Host: isTunnel ? to : new URL(to).host,
      "Proxy-Authorization": `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`,
    },
  }).end();
  // What the node had begun is cut with it.
  call.on("error", () => {}).on("connect", (_answer, socket) => socket.on("error", () => {}));
  const [answer] = await Promise.race([once(call, "response"), once(call, "connect")]);
  const { headers, statusCode } = answer as { headers: Record<string, string>; statusCode: number };
  call.destroy();
  return headers["relay-error"] ?? (statusCode === 200 ? "target" : String(statusCode));
}

async function posted(
  path: string,
  relayUrl: string,
  claims: Parameters<typeof requestToken>[1],
): Promise<string> {
  const token = await requestToken(relayUrl, { framing: "none", ...claims });
  const headers = { "Relay-Authorization": `Bearer ${token}` };
  const answer = await fetch(`${stack.edge}${path}`, { method: "POST", headers });
  await answer.text();
  return answer.headers.get("relay-error") ?? (answer.ok ? "target" : String(answer.status));
}

interface DoorCase {
  readonly what: string;
  readonly ask: (relayUrl: string) => Promise<string>;
  /** Of the line that tells of it. */
  readonly line?: () => object;
  /** As it is noted, with what is kept of its path. */
  readonly noted?: () => readonly [entry: string, paths: readonly string[], more: boolean];
}

const DOORS: readonly DoorCase[] = [
  {
    what: "a request",
    ask: (url) => fetched(url, `${stack.target}/v1/hush-path?hush-query`),
    line: () => ({ door: "fetch", target: stack.target, method: "GET" }),
    noted: () => [`GET ${stack.target}`, ["/v1/*"], false],
  },
  {
    what: "a stream",
    ask: async (url) => opened(undefined, await streamToken(url, `tcp://${tunnelTarget}`)),
    line: () => ({ door: "stream", target: `tcp://${tunnelTarget}` }),
    noted: () => [`tcp://${tunnelTarget}`, [], false],
  },
  {
    what: "a stream by a scope token",
    ask: (url) => byScope(url, tunnelTarget),
    line: () => ({ door: "stream", target: `tcp://${tunnelTarget}` }),
  },
  {
    what: "a stream straight to a node",
    ask: (url) => posted("/grants", url, { act: "stream", htm: "GET", url: `tcp://${tunnelTarget}` }),
    line: () => ({ door: "stream", target: `tcp://${tunnelTarget}` }),
  },
  {
    what: "a proxy's tunnel",
    ask: (url) => proxied(url, tunnelTarget, [`tcp://${tunnelTarget}`]),
    line: () => ({ door: "proxy", target: `tcp://${tunnelTarget}` }),
  },
  {
    what: "a proxy's request",
    ask: (url) => proxied(url, `${httpOrigin}/hush-path`, [httpOrigin]),
    line: () => ({ door: "proxy", target: httpOrigin }),
    noted: () => [httpOrigin, [], false],
  },
  {
    what: "a seed list",
    ask: (url) =>
      posted("/resolve", url, { act: "resolve", htm: "POST", url: "mongodb+srv://cluster0.acme.test" }),
    line: () => ({ door: "resolve", target: "mongodb+srv://cluster0.acme.test" }),
  },
  {
    what: "giving up",
    ask: (url) => posted("/cancel", url, { act: "cancel", htm: "GET", url: `${stack.target}/x` }),
  },
];

const linesOf = (client: string) => logLines(stack.logs.edge).filter((line) => line["client"] === client);

async function observedOf(client: string): Promise<Observed> {
  return (await adminCall(stack.operator, "GET", `/admin/observed?client=${client}`)).value as Observed;
}

describe.each(DOORS)("$what that the client's list refuses", ({ ask, line, noted }) => {
  test("is let through in report mode, told of, and noted", async () => {
    const client = await newClient("report");
    expect(await ask(client.url)).toBe("target");
    const told = line === undefined ? [] : [{ decision: "would_deny", client: client.id, ...line() }];
    await eventually(() => linesOf(client.id).length >= told.length, "it is told of");
    expect(linesOf(client.id)).toEqual(told);
    expect(readFileSync(stack.logs.edge, "utf8")).not.toMatch(/hush|eyJ/);
    if (noted === undefined) return;
    await eventually(async () => (await observedOf(client.id)).entries.length > 0, "it is noted");
    const { dropped, entries } = await observedOf(client.id);
    const [entry, paths, more_paths] = noted();
    const now = Math.floor(Date.now() / 1_000);
    expect([dropped, entries]).toEqual([
      0,
      [
        {
          entry,
          paths,
          more_paths,
          first: expect.any(Number),
          last: expect.any(Number),
          count: 1,
          would_deny: true,
        },
      ],
    ]);
    expect(now - entries[0]!.first).toBeLessThan(30);
  });

  test("is refused where the list is enforced, and not noted", async () => {
    const client = await newClient("enforce");
    expect(await ask(client.url)).toBe("target_not_allowed");
    expect(linesOf(client.id)).toEqual([]);
  });
});

describe("report mode opens nothing else:", () => {
  test.each<[what: string, code: string, ask: (url: string) => Promise<string>]>([
    ["an address that the guard refuses", "address_refused", (url) => fetched(url, "https://10.0.0.1/")],
    ["the metadata's", "address_refused", (url) => fetched(url, "http://169.254.169.254/latest")],
    [
      "a stream to one",
      "address_refused",
      async (url) => opened(undefined, await streamToken(url, "tcp://10.0.0.1:22")),
    ],
    ["a tunnel to one", "address_refused", (url) => proxied(url, "10.0.0.1:22", ["tcp://10.0.0.1:22"])],
    [
      "a scope token's own list",
      "target_not_allowed",
      (url) => byScope(url, tunnelTarget, ["tcp://other.test:1"]),
    ],
    ["a proxy password's", "target_not_allowed", (url) => proxied(url, tunnelTarget, ["tcp://other.test:1"])],
    ["its paths", "target_not_allowed", (url) => proxied(url, `${httpOrigin}/x`, [`${httpOrigin}/v1/*`])],
    [
      "a target that can't be read",
      "url_invalid",
      (url) => byScope(url, "0x7f.1:22", [`tcp://${tunnelTarget}`]),
    ],
  ])("%s", async (_what, code, ask) => {
    expect(await ask((await newClient("report")).url)).toBe(code);
  });
});

test("the entries used last are kept, and it is told how many are not", { timeout: 60_000 }, async () => {
  const { id, url } = await newClient("report");
  const BATCH = 90;
  for (let first = 0; first < 540; first += BATCH) {
    // No node is asked for it.
    const asked = Array.from({ length: BATCH }, (_, i) =>
      posted("/grants", url, { act: "stream", htm: "GET", url: `tcp://h${first + i}.test:1` }),
    );
    expect(new Set(await Promise.all(asked))).toEqual(new Set(["target"]));
    const areNoted = async () => {
      const { dropped, entries } = await observedOf(id);
      return dropped + entries.length === first + BATCH;
    };
    await eventually(areNoted, "all are noted", 10_000);
  }
  const { dropped, entries } = await observedOf(id);
  expect([dropped, entries.length]).toEqual([40, 500]);
  expect(entries.map(({ entry }) => entry)).toContain("tcp://h539.test:1");
});

describe("holdfast learn", () => {
  const learn = (...args: string[]) => run(process.execPath, [ENTRY, "learn", ...args, "--out", folder()]);

  test(
    "makes a list of a period, tells what is new and what was not used, and applies it",
    { timeout: 60_000 },
    async () => {
      const { id, url } = await newClient("report", [httpOrigin, "https://unused.test", stack.target]);
      const outcomes = await Promise.all(DOORS.slice(0, 6).map(({ ask }) => ask(url)));
      expect(outcomes).toEqual(outcomes.map(() => "target"));
      await createRelay(url).fetch(`${stack.target}/bot123:ABC/x`, { method: "POST", body: "x" });
      expect(linesOf(id).map(({ target }) => target)).not.toContain(stack.target);
      const entries = [httpOrigin, `GET ${stack.target}`, `POST ${stack.target}`, `tcp://${tunnelTarget}`];
      await eventually(async () => (await observedOf(id)).entries.length === entries.length, "all is noted");
      expect((await observedOf(id)).entries.map(({ entry }) => entry)).toEqual(entries.toSorted());

      const told = await learn(id, "--since", "7d");
      const whole = [httpOrigin, `GET,POST ${stack.target}`, `tcp://${tunnelTarget}`];
      expect([told.code, told.stdout.trim().split("\n")]).toEqual([0, whole]);
      expect(told.stderr).toContain(`new, which the present list would refuse:\n  tcp://${tunnelTarget}\n`);
      expect(told.stderr).toContain("in the present list, and not used:\n  https://unused.test\n");
      expect(told.stderr).toContain(`and wider than what was used:\n  ${stack.target}\n`);

      const applied = await learn(id, "--paths", "--json", "--apply");
      const allow = [httpOrigin, `POST ${stack.target}`, `GET ${stack.target}/v1/*`, `tcp://${tunnelTarget}`];
      expect(JSON.parse(applied.stdout)).toEqual({
        client: id,
        mode: "enforce",
        applied: true,
        dropped: 0,
        allow,
        added: [`tcp://${tunnelTarget}`],
        unused: ["https://unused.test"],
        narrowed: [stack.target],
      });
      const { value, version } = await adminCall(stack.operator, "GET", `/admin/clients/${id}`);
      expect([value, version]).toEqual([expect.objectContaining({ id, allow, mode: "enforce" }), '"2"']);

      await adminCall(stack.operator, "DELETE", `/admin/observed?client=${id}`);
      expect(await observedOf(id)).toEqual({ client: id, dropped: 0, entries: [] });
      expect(await learn(id)).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringMatching(/"mode": "report"/),
      });
    },
  );

  test.each([
    [[], /name one client/],
    [["a", "b"], /name one client/],
    [["a", "--since", "soon"], /--since is a number/],
    [["a", "--wild"], /Unknown option '--wild'/],
  ])("takes no %j", async (args, message) => {
    await expect(learnCommand.run(args)).rejects.toThrow(message);
  });

  test.each([
    ["GET", "/admin/observed", "request_invalid"],
    ["GET", "/admin/observed?client=a&client=b", "request_invalid"],
    ["GET", "/admin/observed?client=no-such", "not_found"],
    ["DELETE", "/admin/observed?client=no-such", "not_found"],
  ] as const)("%s %s is answered %s", async (method, path, code) => {
    await expect(adminCall(stack.operator, method, path)).rejects.toMatchObject({ code });
  });
});
