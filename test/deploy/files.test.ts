import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CERTIFICATES,
  DRAIN_SECONDS_MAX,
  EDGE_STATE,
  HOST_STATE,
  NODE_ID_MAX,
} from "../../cli/init/layout.ts";
import { CONNECTIONS_MAX, IDLE_CONNECTIONS_MAX, STREAMS_MAX } from "../../relay-node/limits.ts";
import { PROXY_CONNECTIONS_MAX } from "../../relay-node/proxy/limits.ts";
import { run } from "../support/run.ts";

/** What lies in deploy/ fits what `holdfast init` writes and what the package holds. */

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

interface Package {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const project = JSON.parse(read("package.json")) as Package;
const UNITS = ["holdfast-node@.service", "holdfast-edge.service"] as const;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-units-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

describe.for(UNITS)("%s", (name) => {
  const unit = read(`deploy/systemd/${name}`);
  const setting = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(unit)?.[1];

  test("is one that systemd reads without a complaint", async () => {
    // What it starts is not installed here.
    writeFileSync(join(dir, name), unit.replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"));
    const { code, stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", join(dir, name)]);
    expect([code, stdout, stderr]).toEqual([0, "", ""]);
  });

  test("exposes no more than 1.5 of 10", async () => {
    const args = ["security", "--no-pager", "--offline=true", "--threshold=15"];
    const { code, stdout } = await run("systemd-analyze", [...args, join(ROOT, "deploy/systemd", name)]);
    expect(stdout).toContain("Overall exposure level");
    expect(code, stdout.trim().split("\n").at(-1)).toBe(0);
  });

  test("is shown with its figure in the document", () => {
    expect(read("docs/deploy.md")).toMatch(new RegExp(`\`${name}\` \\| \\d\\.\\d \\|`));
  });

  test("starts what the package installs", () => {
    const [, program, ...args] = /^(\S+) (.*)$/.exec(setting("ExecStart")!)!;
    const packages = new Set([...Object.keys(project.dependencies), ...Object.keys(project.devDependencies)]);
    expect([...packages]).toContain(/^\/opt\/holdfast\/node_modules\/([^/]+)\//.exec(program!)![1]);
    const own = /\/opt\/holdfast\/node_modules\/holdfast\/dist\/(\S+)\.js/.exec(args.join(" "))?.[1];
    expect(own === undefined || existsSync(join(ROOT, `${own}.ts`))).toBe(true);
  });
});

test("the units keep the state where the configurations say it is", () => {
  expect(
    `/var/lib/${/^StateDirectory=(.*)\/%i$/m.exec(read("deploy/systemd/holdfast-node@.service"))![1]}`,
  ).toBe(HOST_STATE);
  expect(`/var/lib/${/^StateDirectory=(.*)$/m.exec(read("deploy/systemd/holdfast-edge.service"))![1]}`).toBe(
    EDGE_STATE,
  );
});

test("a node may open a file for each connection that its limits let in", () => {
  const doors = CONNECTIONS_MAX + 3 * PROXY_CONNECTIONS_MAX;
  // Each stream has its target, and requests have connections to theirs.
  const targets = STREAMS_MAX + CONNECTIONS_MAX + IDLE_CONNECTIONS_MAX;
  const unit = Number(/^LimitNOFILE=(\d+)$/m.exec(read("deploy/systemd/holdfast-node@.service"))![1]);
  const compose = Number(/nofile: (\d+)/.exec(read("deploy/compose.yaml"))![1]);
  expect(Math.min(unit, compose)).toBeGreaterThan(doors + targets);
});

test("a node has time to drain before it is killed", () => {
  const unit = Number(/^TimeoutStopSec=(\d+)$/m.exec(read("deploy/systemd/holdfast-node@.service"))![1]);
  const compose = Number(/stop_grace_period: (\d+)s/.exec(read("deploy/compose.yaml"))![1]);
  expect(Math.min(unit, compose)).toBeGreaterThan(DRAIN_SECONDS_MAX);
});

test("the longest id still makes a user's name, which has 31 characters", () => {
  const user = /^User=(.*)$/m.exec(read("deploy/systemd/holdfast-node@.service"))![1]!;
  expect(user.replace("%i", "n".repeat(NODE_ID_MAX))).toHaveLength(31);
});

test("the certificates' hook writes where the configurations read", () => {
  const hook = read("deploy/install-certificate.sh");
  const { cert, key } = CERTIFICATES.files("$host");
  expect(hook).toContain(`folder=${cert.slice(0, cert.lastIndexOf("/"))}`);
  expect([cert, key].map((path) => path.split("/").at(-1))).toEqual(["cert.pem", "key.pem"]);
  expect(hook).toContain("privkey:key fullchain:cert");
});

test("the compose file mounts Caddy's storage where the configurations read", () => {
  const [, storage] = /storage file_system (\S+)/.exec(read("deploy/Caddyfile"))!;
  const compose = read("deploy/compose.yaml");
  expect(compose).toContain(`./certificates:${storage}\n`);
  const mount = /\.\/certificates:(\S+):ro/.exec(compose)![1]!;
  expect(CERTIFICATES.caddy("h.example").cert).toBe(
    `${mount}/certificates/acme-v02.api.letsencrypt.org-directory/h.example/h.example.crt`,
  );
});

test("hosts install the very Node that the tests ran on, and the document names the very workerd", () => {
  const host = JSON.parse(read("deploy/host/package.json")) as Package;
  expect(host.dependencies["node"]).toBe(project.devDependencies["node"]);
  const named = [...read("docs/deploy.md").matchAll(/workerd@(\S+?)[`\s]/g)].map(([, version]) => version);
  expect(new Set(named)).toEqual(new Set([project.devDependencies["workerd"]]));
  const tarballs = [...read("docs/deploy.md").matchAll(/holdfast-(\d\S*?)\.tgz/g)].map(
    ([, version]) => version,
  );
  expect(new Set(tarballs)).toEqual(new Set([project.version]));
});

test("the package holds all that a host and the commands need", async () => {
  const npm = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: ROOT });
  const [packed] = JSON.parse(npm.stdout) as { files: { path: string }[] }[];
  const paths = packed!.files.map(({ path }) => path);
  for (const path of [
    "cli/holdfast.mjs",
    "wrangler.toml",
    "deploy/host/package.json",
    "deploy/install-certificate.sh",
    "deploy/initial-window.sh",
    "deploy/systemd/holdfast-window.service",
    ...UNITS.map((name) => `deploy/systemd/${name}`),
  ]) {
    expect(paths).toContain(path);
  }
});
