import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AnswersError, parseAnswers } from "../../cli/init/answers.ts";
import { EXAMPLE_ANSWERS } from "../../cli/init/example.ts";
import { sinceOf } from "../../cli/init/nodes.ts";
import { defaultProxyName } from "../../cli/init/proxy.ts";
import { compatibilityOf, wranglerToml } from "../../cli/init/wrangler-toml.ts";
import { workerdConfig } from "../../cli/workerd-config.ts";
import { readNodeConfig } from "../../relay-node/config.ts";
import { parseClientRecord } from "../../worker/clients.ts";
import { parseEdgeConfig } from "../../worker/config.ts";
import { packageFolder } from "../support/package-folder.ts";
import { run } from "../support/run.ts";

/** Nodes that don't fit together, what is said of it, and the proxy that the answers want. */
type Misfit = readonly [what: string, nodes: readonly unknown[], problem: string, proxy?: unknown];
type Fit = readonly [what: string, nodes: readonly unknown[], proxy?: unknown];

interface Read {
  readonly [key: string]: unknown;
  readonly vars: Readonly<Record<string, unknown>>;
}

const wrangler = createRequire(import.meta.url)("wrangler") as {
  unstable_readConfig(args: { config: string }): Read;
};
const PROJECT = join(import.meta.dirname, "../../wrangler.toml");

let dir: string;
let entry: string;
let out: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-init-"));
  entry = packageFolder(join(dir, "package"));
  out = join(dir, "out");
});
afterEach(() => rmSync(dir, { recursive: true }));

const ANSWERS = {
  edge: "https://edge.example.com",
  nodes: [
    { id: "node-1", host: "node-1.example.com", region: "fra", ipv4: "203.0.113.10" },
    {
      id: "node-2",
      host: "node-2.example.com",
      ipv4: { bind: "10.0.0.5", public: "203.0.113.20" },
      ipv6: "2001:db8::20",
    },
  ],
  clients: [
    { id: "shop", allow: ["https://api.bank.com/v1/*"], pool: ["node-1"], limits: { concurrent: 5 } },
  ],
};

function init(answers: unknown, ...args: string[]) {
  writeFileSync(join(dir, "answers.json"), JSON.stringify(answers));
  return run(process.execPath, [entry, "init", join(dir, "answers.json"), "--out", out, ...args]);
}

const read = (path: string) => readFileSync(join(out, path), "utf8");
const parsed = (path: string) => JSON.parse(read(path)) as unknown;

/** Every file of the deployment with its text. */
function everything(): Record<string, string> {
  const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  return Object.fromEntries(
    files.map((file) => {
      const path = join(file.parentPath, file.name).slice(out.length + 1);
      return [path, read(path)];
    }),
  );
}

describe("holdfast init", () => {
  test("writes what the edge takes", async () => {
    expect(await init(ANSWERS)).toMatchObject({ code: 0, stderr: "" });
    const { vars } = wrangler.unstable_readConfig({ config: join(out, "wrangler.toml") });
    const config = parseEdgeConfig({ ...vars, ...(parsed("secrets.json") as Record<string, string>) });
    const today = new Date().toISOString().slice(0, 10);
    expect(config.origin).toBe("https://edge.example.com");
    expect(config.nodes).toMatchObject([
      {
        id: "node-1",
        url: "https://node-1.example.com:8443",
        region: "fra",
        addresses: [{ address: "203.0.113.10", since: today }],
      },
      { id: "node-2", addresses: [{ address: "203.0.113.20" }, { address: "2001:db8::20" }] },
    ]);
    expect([...config.operatorKeys.keys()]).toEqual([(parsed("keys/operator.jwk") as { kid: string }).kid]);
    expect(parseClientRecord(parsed("clients/shop.json"))).toMatchObject({
      id: "shop",
      pool: ["node-1"],
      limits: { concurrent: 5 },
    });
    expect(read("clients/shop.env")).toMatch(/^HOLDFAST_URL=https:\/\/shop:[\w-]{43}@edge\.example\.com\n$/);
  });

  test("writes what a client asks of TLS, and its mode, so that a registration doesn't take them away", async () => {
    const tls = [
      { target: "https://api.bank.com", pins: [`sha256/${"A".repeat(43)}=`], minVersion: "TLSv1.3" },
    ];
    const clients = [{ ...ANSWERS.clients[0]!, tls, mode: "report" }];
    expect(await init({ ...ANSWERS, clients })).toMatchObject({ code: 0, stderr: "" });
    expect(parseClientRecord(parsed("clients/shop.json"))).toMatchObject({ tls, mode: "report" });
    const bad = [
      { ...clients[0]!, tls: [{ target: "x", pins: ["y"], minVersion: "z", more: 1 }], mode: "off" },
    ];
    const { code, stderr } = await init({ ...ANSWERS, clients: bad });
    expect(code).toBe(1);
    for (const at of ["tls.0.target", "tls.0.pins.0", "tls.0.minVersion", "mode"]) {
      expect(stderr).toContain(`clients.0.${at}`);
    }
  });

  test("writes a client of a platform without a key, and what else a record may have", async () => {
    const record = {
      allow: ["https://api.bank.com"],
      issuers: [{ issuer: "github", claims: { repository: "acme/shop" } }],
      bearer: true,
      quota: { requests: { soft: 1, hard: 2 }, streamMinutes: { hard: 3 }, bytes: { soft: 4 } },
      limits: { streams: 5, streamIdleSeconds: 60, streamLifetimeSeconds: 600, scopeSeconds: 60 },
    };
    expect(await init({ ...ANSWERS, clients: [{ id: "ci", ...record }] })).toMatchObject({ code: 0 });
    expect(parsed("clients/ci.json")).toEqual({ id: "ci", keys: [], ...record });
    expect(() => parseClientRecord(parsed("clients/ci.json"))).not.toThrow();
    expect(read("clients/ci.env")).toBe("HOLDFAST_URL=https://ci@edge.example.com\n");
    expect(existsSync(join(out, "keys/clients/ci.jwk"))).toBe(false);
    const bad = { id: "ci", ...record, issuers: [], bearer: 1, quota: { requests: { hard: 0 } } };
    const { code, stderr } = await init({ ...ANSWERS, clients: [bad] });
    expect(code).toBe(1);
    for (const at of ["issuers", "bearer", "quota.requests.hard"]) {
      expect(stderr).toContain(`clients.0.${at}`);
    }
  });

  test("says where answers come from, if there are none", async () => {
    const { code, stderr } = await run(process.execPath, [entry, "init", join(dir, "none.json")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/none\.json can't be read \(ENOENT\): `holdfast init --example` prints one/);
  });

  test("writes what a node takes, with the other nodes as its peers", async () => {
    const certificate = { cert: "cert.pem", key: "key.pem" };
    await init({ ...ANSWERS, nodes: ANSWERS.nodes.map((node) => ({ ...node, certificate })) });
    for (const id of ["node-1", "node-2"]) {
      writeFileSync(join(out, `nodes/${id}/cert.pem`), "");
      writeFileSync(join(out, `nodes/${id}/key.pem`), "");
    }
    const [one, two] = ["node-1", "node-2"].map((id) => readNodeConfig(join(out, `nodes/${id}/node.json`)));
    expect(one).toMatchObject({
      id: "node-1",
      edge: "https://edge.example.com",
      listen: { host: "0.0.0.0", port: 8443 },
      metrics: { host: "127.0.0.1", port: 9443 },
      state: "/var/lib/holdfast/node-1",
    });
    expect(two).toMatchObject({
      listen: { host: "::" },
      egress: {
        ipv4: { bind: "10.0.0.5", public: "203.0.113.20" },
        ipv6: { bind: "2001:db8::20", public: "2001:db8::20" },
      },
    });
    const { x } = two!.signingKey;
    expect(one!.peers).toEqual([
      {
        id: "node-2",
        url: "https://node-2.example.com:8443",
        key: { kty: "OKP", crv: "Ed25519", x },
        addresses: ["203.0.113.20", "2001:db8::20"],
      },
    ]);
  });

  test("says where the units and the compose file have certificates", async () => {
    await init(ANSWERS);
    expect(parsed("nodes/node-1/node.json")).toMatchObject({
      listen: { cert: "/etc/holdfast/tls/node-1.example.com/cert.pem" },
    });
    await init({ ...ANSWERS, certificates: "caddy" });
    const folder =
      "/etc/holdfast/caddy/certificates/acme-v02.api.letsencrypt.org-directory/node-1.example.com";
    expect(parsed("nodes/node-1/node.json")).toMatchObject({
      listen: { cert: `${folder}/node-1.example.com.crt`, key: `${folder}/node-1.example.com.key` },
    });
  });

  test("opens the proxy door where the answers want it, and tells the edge its URLs", async () => {
    const nodes = [ANSWERS.nodes[0]!, { ...ANSWERS.nodes[1]!, settings: { logLevel: "warn" } }];
    const proxy = { http: 9293, socks5: 1080 };
    expect(await init({ ...ANSWERS, nodes, proxy })).toMatchObject({ code: 0, stderr: "" });
    const folder = "/etc/holdfast/tls/proxy.example.com";
    const door = (host: string) => ({
      https: { host, port: 9443, cert: `${folder}/cert.pem`, key: `${folder}/key.pem` },
      http: { host, port: 9293 },
      socks5: { host, port: 1080 },
    });
    // 9443, where metrics usually are, is the proxy's.
    const metrics = { host: "127.0.0.1", port: 9543 };
    expect(parsed("nodes/node-1/node.json")).toMatchObject({ proxy: door("0.0.0.0"), metrics });
    expect(parsed("nodes/node-2/node.json")).toMatchObject({ proxy: door("::"), metrics });
    const { vars } = wrangler.unstable_readConfig({ config: join(out, "wrangler.toml") });
    expect(vars["PROXY_URLS"]).toEqual([
      "https://proxy.example.com:9443",
      "http://proxy.example.com:9293",
      "socks5h://proxy.example.com:1080",
    ]);
    expect(parseEdgeConfig({ ...vars, ...(parsed("secrets.json") as Record<string, string>) }).origin).toBe(
      "https://edge.example.com",
    );
    await init(ANSWERS);
    expect(parsed("nodes/node-1/node.json")).not.toHaveProperty("proxy");
    expect(read("wrangler.toml")).not.toContain("PROXY_URLS");
  });

  test("opens at a node what a node takes", async () => {
    const certificate = { cert: "cert.pem", key: "key.pem" };
    const nodes = ANSWERS.nodes.map((node, index) => ({ ...node, certificate, proxy: index === 0 }));
    await init({ ...ANSWERS, nodes, proxy: { name: "way.example.net", https: 443, certificate: "node" } });
    for (const id of ["node-1", "node-2"]) {
      for (const name of ["cert.pem", "key.pem"]) writeFileSync(join(out, `nodes/${id}`, name), "");
    }
    const [one, two] = ["node-1", "node-2"].map((id) => readNodeConfig(join(out, `nodes/${id}/node.json`)));
    const { host, cert, key } = one!.listen;
    expect(one!.proxy).toEqual({ https: { host, port: 443, cert, key } });
    expect([one!.metrics.port, two!.metrics.port, two!.proxy]).toEqual([9443, 9443, undefined]);
    const { vars } = wrangler.unstable_readConfig({ config: join(out, "wrangler.toml") });
    expect(vars["PROXY_URLS"]).toEqual(["https://way.example.net"]);
  });

  test("tells an edge of one's own of the proxies, too", async () => {
    await init({ ...ANSWERS, selfHosted: { listen: "0.0.0.0:443" }, proxy: { https: false, http: 3128 } });
    expect(read("edge/workerd.capnp")).toContain("http://proxy.example.com:3128");
    expect(parsed("nodes/node-1/node.json")).toMatchObject({ proxy: { http: { port: 3128 } } });
    expect(parsed("nodes/node-1/node.json")).not.toHaveProperty("proxy.https");
  });

  test("lets nobody but the owner read a secret, and prints none", async () => {
    const { stdout, stderr } = await init(ANSWERS);
    const isSecret = (path: string) => /^keys\/|\.key$|\.jwk$|\.env$|^secrets\.json$/.test(path);
    const files = Object.keys(everything());
    const modes = files.map((path) => [path, statSync(join(out, path)).mode & 0o777]);
    expect(modes).toEqual(files.map((path) => [path, isSecret(path) ? 0o600 : 0o644]));
    expect(statSync(out).mode & 0o777).toBe(0o700);
    const { d } = parsed("keys/clients/shop.jwk") as { d: string };
    const master = (parsed("keys/grant-master.json") as { keys: string[] }).keys[0]!;
    // Each stands where it is used, so the search is a fair one.
    expect(read("clients/shop.env")).toContain(d);
    expect(read("secrets.json")).toContain(master);
    for (const secret of [d, master, read("nodes/node-1/grant.key").trim()]) {
      expect(stdout + stderr + read("wrangler.toml") + read("nodes/node-1/node.json")).not.toContain(secret);
    }
  });

  test("keeps every key and changes nothing when it is run again", async () => {
    await init(ANSWERS);
    const before = everything();
    expect((await init(ANSWERS)).stdout).toContain("nothing has changed");
    expect(everything()).toEqual(before);
  });

  test("adds a node without touching another's keys, and tells what changed", async () => {
    await init(ANSWERS);
    const before = everything();
    const third = {
      id: "node-3",
      host: "node-1.example.com",
      port: 8444,
      metricsPort: 0,
      ipv4: "203.0.113.10",
    };
    const { stdout } = await init({ ...ANSWERS, nodes: [...ANSWERS.nodes, third] });
    const after = everything();
    const changed = Object.keys(before).filter((path) => before[path] !== after[path]);
    expect(changed.toSorted()).toEqual([
      "nodes/node-1/node.json",
      "nodes/node-2/node.json",
      "state.json",
      "wrangler.toml",
    ]);
    for (const path of changed) expect(stdout).toContain(`changed  ${path}`);
    expect(stdout).toContain("made     nodes/node-3/grant.key");
    // On one host, they are no witnesses for each other: the address tells.
    const { peers } = parsed("nodes/node-3/node.json") as { peers: { id: string; addresses: string[] }[] };
    expect(peers[0]).toMatchObject({ id: "node-1", addresses: ["203.0.113.10"] });
  });

  test("never replaces a key file that it can't read, nor quotes it", async () => {
    await init(ANSWERS);
    writeFileSync(join(out, "keys/operator.jwk"), "{ hush");
    const { code, stderr } = await init(ANSWERS);
    expect(code).toBe(1);
    expect(stderr).toContain("keys/operator.jwk does not hold a private Ed25519 JWK");
    expect(stderr).not.toContain("hush");
    expect(read("keys/operator.jwk")).toBe("{ hush");
  });

  test("changes the grant master key in three steps that leave no gap", async () => {
    await init(ANSWERS);
    const grants = () => [
      read("nodes/node-1/grant.key"),
      "nodes/node-1/grant-next.key" in everything() ? read("nodes/node-1/grant-next.key") : "",
    ];
    const edge = () => (parsed("secrets.json") as { GRANT_MASTER_KEY: string }).GRANT_MASTER_KEY;
    const rotate = async () => (await init(ANSWERS, "--rotate-grant-key")).stdout;
    const [old] = grants();
    const oldEdge = edge();

    expect(await rotate()).toContain("Step 1 of 3");
    const [, next] = grants();
    expect([grants()[0], edge()]).toEqual([old, oldEdge]);
    expect(next).toMatch(/^[\w-]{43}\n$/);
    expect(parsed("nodes/node-1/node.json")).toMatchObject({
      grantKeyFiles: ["grant.key", "grant-next.key"],
    });

    expect(await rotate()).toContain("Step 2 of 3");
    expect(grants()).toEqual([old, next]);
    expect(edge()).not.toBe(oldEdge);
    const newEdge = edge();

    expect(await rotate()).toContain("Step 3 of 3");
    expect([grants(), edge()]).toEqual([[next, ""], newEdge]);
    expect(parsed("nodes/node-1/node.json")).toMatchObject({ grantKeyFiles: ["grant.key"] });
  });

  test("changes the storage key in two steps, in which the old one still opens", async () => {
    await init(ANSWERS);
    const keys = () => (parsed("secrets.json") as { STORAGE_KEYS: string }).STORAGE_KEYS.split(",");
    const [old, ...none] = keys();
    expect([old, none]).toEqual([expect.stringMatching(/^[\w-]{43}$/), []]);
    await init(ANSWERS);
    expect(keys()).toEqual([old]);
    const rotate = async () => (await init(ANSWERS, "--rotate-storage-key")).stdout;
    expect(await rotate()).toContain("Step 1 of 2");
    const [next] = keys();
    expect(next).not.toBe(old);
    expect(keys()).toEqual([next, old]);
    expect(await rotate()).toContain("Step 2 of 2");
    expect(keys()).toEqual([next]);
  });

  test("takes a client's own public key and makes none for it", async () => {
    const keys = [{ kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }];
    await init({ ...ANSWERS, clients: [{ id: "own", allow: ["https://a.example"], keys }] });
    expect(parsed("clients/own.json")).toMatchObject({ keys });
    expect(Object.keys(everything()).filter((path) => /own\.(env|jwk)/.test(path))).toEqual([]);
  });

  test("prints an example that it takes itself", async () => {
    const { stdout } = await run(process.execPath, [entry, "init", "--example"]);
    expect(stdout).toBe(EXAMPLE_ANSWERS);
    expect(parseAnswers(stdout).nodes.map(({ id }) => id)).toEqual(["node-1", "node-2"]);
  });

  test("reports every problem of the answers at once and writes nothing", async () => {
    const { code, stderr } = await init({
      edge: "http://edge.example.com",
      nodes: [
        { id: "edge", host: "203.0.113.10", ipv4: "203.0.113.10" },
        { id: "node-2", host: "b.example", ipv4: "203.0.113.999" },
        { id: "node-2", host: "b.example" },
      ],
      clients: [{ id: "shop", allow: ["*"], pool: ["node-9"] }],
      surplus: 1,
    });
    expect(code).toBe(1);
    for (const problem of [
      'edge: must be an https origin without a path, as in https://edge.example.com (is "http://edge.example.com")',
      "nodes.0.id: must be none of edge, tls, caddy",
      "nodes.0.host: must be a host name",
      'nodes.1.ipv4: Invalid IPv4 address (is "203.0.113.999")',
      "nodes.2: must have ipv4, ipv6 or both",
      "clients.0.allow.0:",
      'Unrecognized key: "surplus"',
    ]) {
      expect(stderr).toContain(problem);
    }
    expect(() => statSync(out)).toThrow("ENOENT");
  });
});

describe("the proxy's name", () => {
  test.for([
    ["https://edge.example.com", "proxy.example.com"],
    ["https://relay.eu.example.com:8443", "proxy.eu.example.com"],
    ["https://example.com", "proxy.example.com"],
    ["https://localhost:8787", undefined],
    ["https://holdfast.me.workers.dev", undefined],
    ["http://127.0.0.1:8787", undefined],
    ["http://[::1]:8787", undefined],
  ] as const)("under %s is %s", ([edge, name]) => {
    expect(defaultProxyName(edge)).toBe(name);
  });
});

describe("answers that don't fit together", () => {
  const node = (id: string, more: object = {}) => ({
    id,
    host: `${id}.example`,
    ipv4: "203.0.113.1",
    ...more,
  });
  const other = { ipv4: "203.0.113.2" };

  test.for([
    ["two nodes with one id", [node("a"), node("a", { host: "b.example", ...other })], "two have the id a"],
    [
      "two nodes at one host and port",
      [node("a"), node("b", { host: "a.example", ...other })],
      "nodes a and b: both are a.example:8443",
    ],
    [
      "two nodes on one address and port",
      [node("a"), node("b")],
      "nodes a and b: both are on one host (203.0.113.1) and use port 8443",
    ],
    [
      "a node's port is another's metrics port",
      [node("a"), node("b", { port: 9443 })],
      "both are on one host (203.0.113.1) and use port 9443",
    ],
    ["metrics on the node's own port", [node("a", { metricsPort: 8443 })], "metricsPort is its own port"],
    [
      "a planned address that is in use",
      [node("a", { planned: [{ address: "203.0.113.1", since: "2027-01-01" }] })],
      "203.0.113.1 is planned and in use already",
    ],
    [
      "draining longer than the units wait",
      [node("a", { settings: { drainSeconds: 61 } })],
      "nodes.0.settings.drainSeconds: must be at most 60",
    ],
    [
      "two proxy doors on one host",
      [node("a"), node("b", { port: 8444 })],
      'nodes a and b: both are on one host (203.0.113.1) and use port 9443: give one of them "proxy": false',
      {},
    ],
    [
      "metrics on the proxy's port",
      [node("a", { metricsPort: 9443 })],
      "node a: metricsPort is the proxy's port 9443",
      {},
    ],
    ["the proxy on a node's port", [node("a")], "node a: its port 8443 is the proxy's", { http: 8443 }],
    ["a proxy that no node opens", [node("a", { proxy: false })], "proxy: no node opens it", {}],
    ["a proxy of no kind", [node("a")], "proxy: must open one of https, http and socks5", { https: false }],
    [
      "a proxy with a path for a name",
      [node("a")],
      "proxy.name: must be a host name",
      { name: "p.example/x" },
    ],
  ] as const)("%s", ([, nodes, problem, proxy]: Misfit) => {
    const text = JSON.stringify({ edge: "https://edge.example.com", nodes, proxy });
    expect(() => parseAnswers(text)).toThrow(AnswersError);
    expect(() => parseAnswers(text)).toThrow(problem);
  });

  test("a proxy without a name, where the edge has no domain of its own", () => {
    const answers = { edge: "https://h.me.workers.dev", nodes: [node("a")], proxy: {} };
    expect(() => parseAnswers(JSON.stringify(answers))).toThrow("proxy.name: must be given");
  });

  test.for([
    ["nodes that share an address on ports of their own", [node("a"), node("b", { port: 8444 })]],
    ["nodes of two hosts on one port", [node("a"), node("b", other)]],
    [
      "nodes that share an address, one with the proxy",
      [node("a"), node("b", { port: 8444, proxy: false })],
      {},
    ],
  ] as const)("but %s are fine", ([, nodes, proxy]: Fit) => {
    expect(parseAnswers(JSON.stringify({ edge: "https://e.example", nodes, proxy })).nodes).toHaveLength(2);
  });
});

test("an address keeps the day from which it is published, also where it was planned", () => {
  const answers = (ipv4: unknown, planned: unknown = []) =>
    parseAnswers(
      JSON.stringify({ edge: "https://e.example", nodes: [{ id: "a", host: "a.example", ipv4, planned }] }),
    );
  const first = sinceOf(answers("203.0.113.1"), {}, "2026-11-22");
  const planned = [{ address: "203.0.113.2", since: "2026-12-15" }];
  const both = sinceOf(answers("203.0.113.1", planned), first, "2026-12-01");
  expect(both).toEqual({ "a 203.0.113.1": "2026-11-22", "a 203.0.113.2": "2026-12-15" });
  expect(sinceOf(answers("203.0.113.2"), both, "2026-12-16")).toEqual({ "a 203.0.113.2": "2026-12-15" });
  expect(sinceOf(answers("203.0.113.2"), both, "2026-12-10")).toEqual({ "a 203.0.113.2": "2026-12-10" });
});

describe("the worker's configuration", () => {
  const project = readFileSync(PROJECT, "utf8");

  test("is the project's own but for entry, route and variables", async () => {
    await init(ANSWERS);
    const { vars, ...deployed } = wrangler.unstable_readConfig({ config: join(out, "wrangler.toml") });
    const { vars: projectVars, ...own } = wrangler.unstable_readConfig({ config: PROJECT });
    const kept = (config: Readonly<Record<string, unknown>>) =>
      Object.entries(config).filter(([name]) => !/^(main|routes?|configPath|userConfigPath)$/.test(name));
    expect(kept(deployed)).toEqual(kept(own));
    expect(Object.keys(vars)).toEqual(Object.keys(projectVars));
    expect(deployed["routes"]).toEqual([{ pattern: "edge.example.com", custom_domain: true }]);
    expect(deployed["main"]).toBe(join(dir, "package/worker/index.ts"));
  });

  test("keeps a variable that is no deployment's own, and tables that come later", () => {
    const text = wranglerToml(
      `${project}\n# Later.\n[[ratelimits]]\nname = "LIMIT"\n`.replace("[vars]", '[vars]\nOTHER = "kept"'),
      { main: "m.ts", edge: "https://edge.example.com", nodes: [] },
    );
    expect(text).toContain('[vars]\nEDGE_ORIGIN = "https://edge.example.com"\nOTHER = "kept"\n');
    expect(text).toContain('# Later.\n[[ratelimits]]\nname = "LIMIT"\n');
    expect(text).not.toContain("vars.NODES");
  });

  test("needs no route on workers.dev", () => {
    const text = wranglerToml(project, { main: "m.ts", edge: "https://h.me.workers.dev", nodes: [] });
    expect(text).toContain("workers_dev = true");
    expect(text).not.toContain("routes");
  });

  test("is run by workerd with the same date, flags and Durable Objects", () => {
    const own = wrangler.unstable_readConfig({ config: PROJECT });
    const { date, flags } = compatibilityOf(project);
    expect([date, flags]).toEqual([own["compatibility_date"], own["compatibility_flags"]]);
    const text = workerdConfig({
      module: "index.js",
      address: "127.0.0.1:1",
      storage: "store",
      compatibilityDate: date,
      compatibilityFlags: flags,
      vars: {},
      secrets: [],
    });
    const { bindings } = own["durable_objects"] as { bindings: { name: string; class_name: string }[] };
    expect(bindings.length).toBeGreaterThan(0);
    for (const { name, class_name: className } of bindings) {
      expect(text).toContain(`name = "${name}", durableObjectNamespace = "${className}"`);
      expect(text).toContain(`className = "${className}"`);
    }
  });
});
