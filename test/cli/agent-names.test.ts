import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { AgentError } from "../../cli/agent/agent-error.ts";
import { destination } from "../../cli/agent/destinations.ts";
import { loopbackAddress } from "../../cli/agent/loopback.ts";
import { nameEntries, routeLine } from "../../cli/agent/names.ts";
import { findNssWrapper } from "../../cli/agent/nss-map.ts";
import { readSettings } from "../../cli/agent/settings.ts";
import { startTunnel, type Tunnel } from "../../cli/agent/tunnel.ts";
import { type UnderAgent, underAgent } from "../support/tunnel-child.ts";

const HOST = "db.holdfast-test.example";
const ORIGINAL = "127.0.0.1 localhost\n# kept\n";

let server: net.Server;
let port: number;
let folder: string;
let hosts: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-names-"));
  hosts = join(folder, "hosts");
  server = net.createServer((socket) => socket.on("error", () => {}).end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

beforeEach(() => writeFileSync(hosts, ORIGINAL));

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

function run(command: readonly string[], options: Partial<UnderAgent> = {}): ReturnType<typeof underAgent> {
  return underAgent({ flags: { to: [`${HOST}:5432`] }, port, hosts, ...options }, command);
}

/** A program of Node's that connects to its argument and prints what it is sent. */
const CONNECT = `
  const [host, port] = process.argv[1].split(":");
  require("node:net").connect({ host, port }).pipe(process.stdout);`;

describe("by the hosts file", () => {
  test("a program reaches the listener by the destination's own name, and the file is as before", async () => {
    const ran = await run([process.execPath, "-e", CONNECT, `${HOST}:5432`]);
    expect(ran).toMatchObject({ code: 0, stdout: "hello" });
    expect(ran.stderr).toBe(`names: hosts\nopened ${HOST}:5432\n`);
    expect(readFileSync(hosts, "utf8")).toBe(ORIGINAL);
  });

  test("the file's other names are there, and ours come first", async () => {
    writeFileSync(hosts, `${ORIGINAL}10.9.9.9 ${HOST}\n10.9.9.8 other\n`);
    const ran = await run(["sh", "-c", `getent ahostsv4 ${HOST}; getent hosts other`]);
    const addresses = ran.stdout.split("\n").map((line) => line.split(" ")[0]);
    expect(addresses[0]).toMatch(/^127\.(6[4-9]|[789]\d|1[01]\d|12[0-7])\./);
    expect(ran.stdout).toContain("10.9.9.8");
    expect(ran.stderr).toContain(`/etc/hosts names ${HOST} in other lines too`);
  });

  test("an IPv6 look-up gives no other address", async () => {
    const ran = await run(["getent", "ahostsv6", HOST]);
    for (const line of ran.stdout.split("\n").filter((one) => one !== "")) {
      expect(line).toMatch(/^::ffff:127\./);
    }
  });

  test("two agents at once on one file", async () => {
    const both = await Promise.all([
      run(["sh", "-c", `getent hosts ${HOST}; sleep 1`]),
      run([process.execPath, "-e", CONNECT, `${HOST}:5432`]),
    ]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(both[1].stdout).toBe("hello");
    expect(readFileSync(hosts, "utf8")).toBe(ORIGINAL);
  });
});

describe("where the hosts file can't be written", () => {
  test("--names hosts is an error that says why", async () => {
    const ran = await run(["true"], {
      isHostsWritable: false,
      flags: { to: [`${HOST}:5432`], names: "hosts" },
    });
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain("names can't lead here by /etc/hosts: EROFS");
  });

  test("--names nss without the library is an error that says what to install", async () => {
    const ran = await run(["true"], {
      env: { HOLDFAST_NSS_WRAPPER: "/none" },
      flags: { to: [`${HOST}:5432`], names: "nss" },
    });
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain("install libnss-wrapper, or name its file in HOLDFAST_NSS_WRAPPER");
  });

  test("variables that are named are rewritten, others are told by name", async () => {
    const ran = await run(["sh", "-c", 'echo "$A|$B|$C"'], {
      isHostsWritable: false,
      flags: { to: [`${HOST}:5432`], env: ["A", "B"] },
      env: {
        HOLDFAST_NSS_WRAPPER: "/none",
        A: `postgres://u:secret@${HOST}/x`,
        B: `postgres://u:secret@${HOST}/x?sslmode=verify-full`,
        C: `${HOST}:5432`,
      },
    });
    expect(ran.stdout).toMatch(
      /^postgres:\/\/u:secret@127\.[0-9.]+\/x\|postgres:\/\/u:secret@db\.holdfast-test\.example\/x\?sslmode=verify-full&hostaddr=127\.[0-9.]+\|db\.holdfast-test\.example:5432\n$/,
    );
    expect(ran.stderr).toContain("names: env");
    expect(ran.stderr).toContain("A names an address in its host's place now");
    expect(ran.stderr).toContain("a destination's host stays as it is in C: --env C leads it here");
    expect(ran.stderr).not.toContain("secret");
  });
});

test("the library is looked for where HOLDFAST_NSS_WRAPPER says, and nowhere else then", () => {
  expect(findNssWrapper({ HOLDFAST_NSS_WRAPPER: hosts })).toBe(hosts);
  expect(findNssWrapper({ HOLDFAST_NSS_WRAPPER: "/none" })).toBeUndefined();
});

describe("a route", () => {
  const at = (name: string, address: string, number = 1) => ({
    destination: destination(name, 1),
    address,
    port: number,
  });

  test("has a name where it has its destination's port and a host that is neither an address nor this machine", () => {
    expect(
      nameEntries([
        at("a.example", "127.1.1.1"),
        at("a.example", "127.1.1.1"),
        at("b.example", "127.1.1.2", 2),
        at("10.0.0.1", "127.1.1.3"),
        at("localhost", "127.1.1.5"),
        at("db.localhost", "127.1.1.6"),
        { destination: destination("c.example", 1, { named: false }), address: "127.1.1.4", port: 1 },
      ]),
    ).toEqual([{ host: "a.example", address: "127.1.1.1" }]);
  });

  test("can't have two addresses under one name", () => {
    expect(() => nameEntries([at("a.example", "127.1.1.1"), at("a.example", "127.1.1.2")])).toThrow(
      AgentError,
    );
  });

  test("is told with its address", () => {
    expect(routeLine(at("a.example", "127.1.1.1"), "hosts")).toBe("a.example:1 leads to 127.1.1.1:1");
    expect(routeLine(at("a.example", "127.1.1.1"), "env")).toBe("a.example:1 is at 127.1.1.1:1");
  });
});

describe("mongodb+srv", () => {
  test("its hosts become destinations, and the named variable their list", async () => {
    const edge = http.createServer((_, response) => {
      response.end(
        JSON.stringify({
          seeds: [
            { host: "s1.abc.example.net", port: 27_017 },
            { host: "s2.abc.example.net", port: 27_018 },
          ],
          options: "authSource=admin",
        }),
      );
    });
    edge.listen(0, "127.0.0.1");
    await once(edge, "listening");
    const relayUrl = `http://app:${"A".repeat(43)}@127.0.0.1:${(edge.address() as AddressInfo).port}`;
    const env = { M: "mongodb+srv://u:secret@c0.abc.example.net/shop" };
    const lines: string[] = [];
    const start = (names: string): Promise<Tunnel> =>
      startTunnel(
        readSettings({ to: [env.M], env: ["M"], names }, { env: {}, folder: "/", readFile: () => undefined }),
        {
          open: () => Promise.reject(new Error("not now")),
          relayUrl,
          env,
          log: (line) => lines.push(line),
          hostsFile: hosts,
        },
      );
    const byHosts = await start("hosts");
    expect(byHosts.env["M"]).toBe(
      "mongodb://u:secret@s1.abc.example.net:27017,s2.abc.example.net:27018/shop?authSource=admin&tls=true",
    );
    expect(readFileSync(hosts, "utf8")).toMatch(
      /^127\.[0-9.]+ s1\.abc\.example\.net # holdfast .*\n127\.[0-9.]+ s2\./,
    );
    await byHosts.close();
    expect(readFileSync(hosts, "utf8")).toBe(ORIGINAL);
    const byEnv = await start("env");
    expect(byEnv.env["M"]).toMatch(
      /^mongodb:\/\/u:secret@127\.[0-9.]+:27017,127\.[0-9.]+:27018\/shop\?authSource=admin&tls=true$/,
    );
    expect(byEnv.state().map(({ destination: { host } }) => host)).toEqual([
      "s1.abc.example.net",
      "s2.abc.example.net",
    ]);
    await byEnv.close();
    expect(lines.join("\n")).not.toContain("secret");
    edge.close();
  });
});

test("the relay's own edge can't be a destination: the agent would be led to itself", async () => {
  const settings = readSettings(
    { to: ["Edge.example.com:443"] },
    { env: {}, folder: "/", readFile: () => undefined },
  );
  const start = startTunnel(settings, {
    open: () => Promise.reject(new Error("not now")),
    relayUrl: "https://app:secret@edge.example.com",
    env: {},
    log: () => {},
    hostsFile: hosts,
  });
  await expect(start).rejects.toThrow("edge.example.com is the relay's own edge");
  expect(readFileSync(hosts, "utf8")).toBe(ORIGINAL);
});

test("a start that fails leaves nothing behind", async () => {
  const before = readdirSync(folder);
  const settings = readSettings(
    { to: [`${HOST}:${port}`], env: ["M"], names: "hosts" },
    { env: {}, folder: "/", readFile: () => undefined },
  );
  const start = startTunnel(settings, {
    open: () => Promise.reject(new Error("not now")),
    relayUrl: undefined,
    env: {},
    log: () => {},
    hostsFile: join(folder, "none"),
  });
  await expect(start).rejects.toThrow(AgentError);
  expect(readdirSync(folder)).toEqual(before);
  // The address is free again: the next start gets the same one.
  const tunnel = await startTunnel(
    { ...settings, names: "env" },
    { open: () => Promise.reject(new Error("not now")), relayUrl: undefined, env: {}, log: () => {} },
  );
  expect(tunnel.state()[0]!.address).toBe(loopbackAddress(HOST, 0));
  await tunnel.close();
});
