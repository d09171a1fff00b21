import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { workerdConfig } from "../cli/workerd-config.ts";

const ROOT = resolve(import.meta.dirname, "..");
const require = createRequire(import.meta.url);
/** What is used of wrangler's own reading of its configuration. */
const wranglerApi = require("wrangler") as {
  unstable_readConfig(args: { config: string }): {
    compatibility_date?: string;
    compatibility_flags: readonly string[];
  };
};
/** The path of its binary is what the package exports. */
const { default: workerdPath } = require("workerd") as { default: string };

/** Bundles the worker exactly as it is deployed; returns the module's path. */
export async function buildWorker(outDir: string): Promise<string> {
  const wrangler = join(dirname(require.resolve("wrangler/package.json")), "bin/wrangler.js");
  try {
    await promisify(execFile)(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", outDir], {
      cwd: ROOT,
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "1" },
    });
  } catch (error) {
    throw new Error(`the worker does not build:\n${(error as { stderr?: string }).stderr ?? String(error)}`, {
      cause: error,
    });
  }
  return join(outDir, "index.js");
}

/** The day and the flags that the worker is deployed with. */
export function compatibility(): { readonly date: string; readonly flags: readonly string[] } {
  const read = wranglerApi.unstable_readConfig({ config: join(ROOT, "wrangler.toml") });
  return { date: read.compatibility_date ?? "", flags: read.compatibility_flags };
}

/** What workerd is started with. */
export interface WorkerdOptions {
  /** The bundle that `buildWorker` made. */
  readonly module: string;
  /** Folder for the configuration and, below it, the Durable Objects' storage. */
  readonly dir: string;
  readonly host: string;
  readonly port: number;
  /** Plain variables; objects are given to the worker as parsed JSON. */
  readonly vars: Readonly<Record<string, unknown>>;
  /** Secrets: handed over in the environment, so that no file and no argument holds them. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Where it is to serve https: PEM texts. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** PEM of authorities that the worker's outgoing TLS trusts besides the public ones. */
  readonly ca: string;
  /** Where its output goes; a file descriptor, or "pipe". */
  readonly output: number | "pipe";
  /** A command that runs it, as `nsenter --net=…` does; it must end as the very process. */
  readonly runBy?: readonly string[];
  /** Port of an inspector on loopback, for whoever measures it. */
  readonly inspectorPort?: number | undefined;
}

/** Starts workerd with the worker on a real socket; resolves when it listens. */
export async function startWorkerd(options: WorkerdOptions): Promise<ChildProcess> {
  const storage = join(options.dir, "durable-objects");
  mkdirSync(storage, { recursive: true });
  const file = join(options.dir, "workerd.capnp");
  const { date, flags } = compatibility();
  const { module, host, port, vars, secrets, ca, tls } = options;
  writeFileSync(
    file,
    workerdConfig({
      module: relative(options.dir, module),
      address: `${host}:${port}`,
      storage,
      compatibilityDate: date,
      compatibilityFlags: flags,
      vars,
      secrets: Object.keys(secrets),
      ca: [ca],
      tls,
    }),
  );
  const [command, ...args] = [...(options.runBy ?? []), workerdPath, "serve", file, "--control-fd=3"];
  if (options.inspectorPort !== undefined) args.push(`--inspector-addr=127.0.0.1:${options.inspectorPort}`);
  const child = spawn(command, args, {
    env: { ...options.secrets },
    stdio: ["ignore", options.output, options.output, "pipe"],
  });
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => (complaint += chunk.toString().slice(0, 2_000)));
  await new Promise<void>((listening, failed) => {
    // The control channel says {"event":"listen",…} once the socket is bound.
    child.stdio[3]!.on("data", (chunk: Buffer) => chunk.toString().includes('"listen"') && listening());
    child.once("exit", (code) => {
      const inUse = complaint.includes("Address already in use");
      failed(
        new Error(
          inUse
            ? `port ${options.port} on ${options.host} is in use`
            : `workerd ended with ${code}: ${complaint}`,
        ),
      );
    });
    child.once("error", failed);
  });
  return child;
}
