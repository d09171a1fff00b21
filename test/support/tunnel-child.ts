import { spawn } from "node:child_process";
import { resolve } from "node:path";
import type { SettingsFlags } from "../../cli/agent/settings.ts";

const AGENT = resolve(import.meta.dirname, "tunnel-agent.ts");

/** What a command under an agent did. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run under an agent. */
export interface UnderAgent {
  readonly flags: SettingsFlags;
  /** The port of this machine that every destination's connections go to. */
  readonly port: number;
  /** The file that stands at /etc/hosts. */
  readonly hosts: string;
  readonly isHostsWritable?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
}

/**
 * Runs a command under the tunnel agent, both in a mount namespace of their own: the machine's own hosts file is never touched.
 */
export async function underAgent(
  { flags, port, hosts, isHostsWritable = true, env = {}, folder = "/" }: UnderAgent,
  command: readonly string[],
): Promise<Ran> {
  const remount = isHostsWritable ? "" : "mount -o remount,bind,ro /etc/hosts && ";
  const child = spawn(
    "unshare",
    [
      "--mount",
      "sh",
      "-c",
      `mount --bind "$0" /etc/hosts && ${remount}exec "$@"`,
      hosts,
      process.execPath,
      AGENT,
      JSON.stringify(flags),
      String(port),
      ...command,
    ],
    { stdio: ["ignore", "pipe", "pipe"], cwd: folder, env: { PATH: process.env["PATH"], ...env } },
  );
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((done) => child.once("close", done));
  return { code, stdout, stderr };
}
