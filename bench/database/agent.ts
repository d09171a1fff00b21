import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Process } from "../processes.ts";

const HOLDFAST = resolve(import.meta.dirname, "../../cli/holdfast.mjs");

/**
 * `holdfast run`, with a listener for one destination, and a command that only stays.
 * @param env HOLDFAST_URL, and what its runtime needs
 */
export function startAgent(
  dir: string,
  {
    port,
    listen,
    via,
    core,
    ahead = true,
  }: {
    port: number;
    listen: number;
    via: "edge" | "direct";
    core: readonly number[];
    /** Whether it opens paths ahead of connections. */
    ahead?: boolean;
  },
  env: Readonly<Record<string, string>>,
): Promise<Process> {
  const config = join(dir, `holdfast-${via}-${ahead}.toml`);
  const host = "127.0.0.1";
  writeFileSync(
    config,
    `via = "${via}"\nahead = ${ahead}\n[[destinations]]\nhost = "${host}"\nport = ${port}\nlisten = { address = "${host}", port = ${listen} }\n`,
  );
  const args = [
    HOLDFAST,
    "run",
    "--config",
    config,
    "--names",
    "env",
    "--no-proxies",
    "--",
    "sleep",
    "86400",
  ];
  return Process.start(process.execPath, args, { core, env, ready: { host, port: listen } });
}
