import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { compatibility } from "../dev/workerd.ts";
import type { PeerPlace } from "./peers/peer.ts";
import { Process } from "./processes.ts";

const ROOT = resolve(import.meta.dirname, "..");
const require = createRequire(import.meta.url);
const { default: workerdPath } = require("workerd") as { default: string };

/**
 * Bundles a worker and starts it in a workerd of its own, with nothing but a listener, the network and texts.
 * @param bindings texts by the names that the worker has them by
 * @param ca PEM of an authority that its calls trust besides the public ones
 */
export async function startWorker(
  { dir, host, port, core }: PeerPlace,
  source: string,
  bindings: Readonly<Record<string, string>>,
  ca?: string,
): Promise<{ readonly process: Process; readonly version: string }> {
  mkdirSync(dir, { recursive: true });
  const { date, flags } = compatibility();
  const wrangler = join(dirname(require.resolve("wrangler/package.json")), "bin/wrangler.js");
  // The project's own names objects that this worker has not.
  const bare = join(dir, "wrangler.json");
  writeFileSync(bare, JSON.stringify({ name: "bare", main: source, compatibility_date: date }));
  const args = ["deploy", "--config", bare, "--dry-run", "--outdir", dir];
  await promisify(execFile)(process.execPath, [wrangler, ...args], {
    cwd: dir,
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "1" },
  });
  const texts = Object.entries(bindings).map(
    ([name, text]) => `(name = ${JSON.stringify(name)}, text = ${JSON.stringify(text)})`,
  );
  const tls =
    ca === undefined
      ? ""
      : `, tlsOptions = (trustBrowserCas = true, trustedCertificates = [${JSON.stringify(ca)}])`;
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "internet", network = (allow = ["public", "private", "local"]${tls})),
  ],
  sockets = [(name = "http", address = "${host}:${port}", http = (), service = "worker")]
);
const worker :Workerd.Worker = (
  modules = [(name = "index.js", esModule = embed ${JSON.stringify(`${basename(source, ".ts")}.js`)})],
  compatibilityDate = "${date}",
  compatibilityFlags = [${flags.map((flag) => JSON.stringify(flag)).join(", ")}],
  globalOutbound = "internet",
  bindings = [${texts.join(", ")}]
);
`;
  const file = join(dir, "workerd.capnp");
  writeFileSync(file, config);
  const versionOf = (name: string) =>
    (
      JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")) as {
        version: string;
      }
    ).version;
  const version = `Hono ${versionOf("hono")}, workerd ${versionOf("workerd")}`;
  return {
    process: await Process.start(workerdPath, ["serve", file], { core, ready: { host, port } }),
    version,
  };
}
