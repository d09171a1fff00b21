import { type ChildProcess, execFile } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { parse } from "smol-toml";
import { HOSTS, type Host, WIRE } from "./hosts.ts";
import { START_DEADLINE_MS } from "./limits.ts";
import { until } from "./until.ts";

const require = createRequire(import.meta.url);
const { default: workerd } = require("workerd") as { default: string };
const WRANGLER = join(dirname(require.resolve("wrangler/package.json")), "bin/wrangler.js");

/** A Worker of a project's own, which runs in workerd on a host. */
export interface WorkerOnHost {
  readonly url: string;
  stop(): Promise<void>;
}

/** How it is run. */
export interface WorkerOptions {
  /** The project, with a wrangler.toml. */
  readonly folder: string;
  readonly host: Host;
  readonly port: number;
  /** Its secrets, by their names. */
  readonly secrets: Readonly<Record<string, string>>;
  /** PEM of the authority that its outgoing TLS trusts. */
  readonly ca: string;
}

/** Bundles a Worker by wrangler, as it is deployed, and starts it. */
export async function startWorkerOnHost(options: WorkerOptions): Promise<WorkerOnHost> {
  const { folder, host, port, secrets } = options;
  const out = join(folder, "bundle");
  await promisify(execFile)(process.execPath, [WRANGLER, "deploy", "--dry-run", "--outdir", out], {
    cwd: folder,
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "1" },
  });
  const file = join(folder, "workerd.capnp");
  writeFileSync(file, config(options, relative(folder, join(out, "index.js"))));
  mkdirSync(join(folder, "log"));
  const log = join(folder, "log/workerd.log");
  const descriptor = openSync(log, "a");
  const child = WIRE.spawn(host, workerd, ["serve", file], {
    env: secrets,
    stdio: ["ignore", descriptor, descriptor],
  });
  closeSync(descriptor);
  const url = `http://${HOSTS[host]}:${port}`;
  const stop = () => end(child);
  try {
    await until("the worker answers", START_DEADLINE_MS, async () => {
      if (child.exitCode !== null) throw new Error(readFileSync(log, "utf8"));
      return (await fetch(url)).status < 500;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}

function config({ folder, host, port, secrets, ca }: WorkerOptions, module: string): string {
  const { compatibility_date: date, compatibility_flags: flags } = parse(
    readFileSync(join(folder, "wrangler.toml"), "utf8"),
  );
  const bindings = Object.keys(secrets).map(
    (name) => `(name = ${JSON.stringify(name)}, fromEnvironment = ${JSON.stringify(name)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "index.js", esModule = embed ${JSON.stringify(module)})],
      compatibilityDate = ${JSON.stringify(date)},
      compatibilityFlags = ${JSON.stringify(flags)},
      bindings = [${bindings.join(", ")}],
      globalOutbound = "internet"
    )),
    (name = "internet", network = (
      allow = ["public", "private", "local"],
      tlsOptions = (trustBrowserCas = false, trustedCertificates = [${JSON.stringify(ca)}])
    ))
  ],
  sockets = [(name = "http", address = "${HOSTS[host]}:${port}", http = (), service = "main")]
);
`;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}
