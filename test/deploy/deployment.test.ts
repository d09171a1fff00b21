import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { packageFolder } from "../support/package-folder.ts";
import { type Ran, run } from "../support/run.ts";
import { freePort } from "../support/stack.ts";

/** What `holdfast init` writes is started as it stands: an edge in workerd and two nodes, each from its own folder. */

const { default: workerd } = createRequire(import.meta.url)("workerd") as { default: string };
const NODE_MAIN = resolve(import.meta.dirname, "../../relay-node/main.ts");

const NODES = [
  { id: "node-1", address: "127.0.0.2" },
  { id: "node-2", address: "127.0.0.3" },
] as const;

/** A node may prove its address before it serves. */
const SERVING_MS = 15_000;

let dir: string;
let out: string;
let entry: string;
let target: CountingTarget;
const running: ChildProcess[] = [];
const logs: string[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-deployment-"));
  out = join(dir, "out");
  entry = packageFolder(join(dir, "package"));
  target = await startCountingTarget({
    answer: (request, response) => response.end(request.socket.remoteAddress),
  });
  const [edgePort, proxyPort, ...nodePorts] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const certificate = { cert: "cert.pem", key: "key.pem" };
  const answers = {
    edge: `https://localhost:${edgePort}`,
    selfHosted: {
      listen: `127.0.0.1:${edgePort}`,
      certificate,
      ca: "ca.pem",
      state: join(dir, "edge-state"),
    },
    settings: { open: ["127.0.0.0/8"], relayCa: "ca.pem", drainSeconds: 5 },
    nodes: NODES.map(({ id, address }, index) => ({
      id,
      host: "localhost",
      port: nodePorts[index],
      metricsPort: 0,
      listen: "127.0.0.1",
      ipv4: address,
      certificate,
      // On one host, one node alone has the proxy's port.
      proxy: index === 0,
      state: "state",
    })),
    proxy: { name: "localhost", https: proxyPort, certificate: "node" },
    clients: [{ id: "shop", allow: [`http://127.0.0.1:${target.port}`] }],
  };
  writeFileSync(join(dir, "answers.json"), JSON.stringify(answers));
  const { code, stderr } = await holdfast(["init", join(dir, "answers.json"), "--out", out]);
  if (code !== 0) throw new Error(stderr);

  const ca = await createCa("Deployment test CA");
  const { cert, key } = await issueCertificate(ca, { dns: ["localhost"], ip: ["127.0.0.1"] });
  writeFileSync(join(dir, "ca.pem"), ca.cert);
  for (const folder of ["edge", ...NODES.map(({ id }) => `nodes/${id}`)]) {
    const files = { "cert.pem": cert, "key.pem": key, "ca.pem": ca.cert };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(out, folder, name), text);
  }
  mkdirSync(join(dir, "edge-state"));
  for (const { id } of NODES) {
    start(process.execPath, [NODE_MAIN, "--config", join(out, "nodes", id, "node.json")]);
  }
  start(workerd, ["serve", join(out, "edge/workerd.capnp")], environmentOf(join(out, "edge/edge.env")));
});

afterAll(async () => {
  await Promise.all(
    running.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      await gone;
    }),
  );
  await target.close();
  rmSync(dir, { recursive: true });
});

/** As a unit does: nothing but the file's own variables. */
function start(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  const child = spawn(file, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => logs.push(chunk.toString()));
  }
  running.push(child);
}

function environmentOf(file: string): Record<string, string> {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^(\w+)='?([^']*)'?$/.exec(line)!;
      return [name!, value!];
    }),
  );
}

function holdfast(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return run(process.execPath, [entry, ...args], {
    env: { NODE_EXTRA_CA_CERTS: join(dir, "ca.pem"), ...env },
  });
}

/** Tries again until it succeeds, or the time is over. */
async function untilOk(attempt: () => Promise<Ran>): Promise<Ran> {
  const end = Date.now() + SERVING_MS;
  for (;;) {
    const ran = await attempt();
    if (ran.code === 0) return ran;
    if (Date.now() > end) throw new Error(`${ran.stderr}\n${logs.join("")}`);
  }
}

test("a deployment serves its client from each node's address", { timeout: 60_000 }, async () => {
  const registered = await untilOk(() => holdfast(["register", "--out", out]));
  expect(registered.stdout).toBe("shop: registered\n");
  const relay = environmentOf(join(out, "clients/shop.env"));
  for (const { id, address } of NODES) {
    const args = ["fetch", "--node", id, `http://127.0.0.1:${target.port}/`];
    expect((await untilOk(() => holdfast(args, relay))).stdout).toBe(address);
  }
});

test("and is a proxy, by the node that opens it", async () => {
  const relay = environmentOf(join(out, "clients/shop.env"));
  const url = `http://127.0.0.1:${target.port}`;
  const made = await untilOk(() => holdfast(["proxy-url", "--allow", url, "--ttl", "1h"], relay));
  const env = { http_proxy: made.stdout.trim() };
  const ran = await run("curl", ["-sS", "--proxy-cacert", join(dir, "ca.pem"), `${url}/`], { env });
  expect(ran).toEqual({ code: 0, stdout: NODES[0].address, stderr: "" });
});

test("registering again changes nothing; a changed record replaces the old one", async () => {
  await untilOk(() => holdfast(["register", "--out", out]));
  expect((await holdfast(["register", "--out", out])).stdout).toBe("shop: registered already\n");
  const file = join(dir, "answers.json");
  const answers = JSON.parse(readFileSync(file, "utf8")) as { clients: { allow: string[] }[] };
  answers.clients[0]!.allow.push("https://api.bank.com");
  writeFileSync(file, JSON.stringify(answers));
  await holdfast(["init", file, "--out", out]);
  expect((await holdfast(["register", "--out", out])).stdout).toBe("shop: replaced\n");
});

test("nothing that was started has written a secret", () => {
  const { d } = JSON.parse(readFileSync(join(out, "keys/clients/shop.jwk"), "utf8")) as { d: string };
  const secrets = [d, ...Object.values(environmentOf(join(out, "edge/edge.env"))).slice(0, 2)];
  expect(secrets.every((secret) => secret.length > 40)).toBe(true);
  for (const secret of secrets) expect(logs.join("")).not.toContain(secret);
});
