import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Ran, run } from "../../support/run.ts";
import { WIRE } from "./hosts.ts";
import { HOLDFAST, type TunnelStack } from "./stack.ts";

/** How a program runs on the client's host. */
export interface ClientOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Whether /etc/hosts may be written: true unless told. */
  readonly hostsWritable?: boolean;
}

let runs = 0;

/**
 * The command that runs another one on the client's host, with an /etc/hosts of its own, as a container has it: mounted, and
 * without a name of a server's.
 */
export function onClient({ dir }: TunnelStack, { hostsWritable = true }: ClientOptions = {}): string[] {
  const hosts = join(dir, `hosts-${++runs}`);
  writeFileSync(hosts, "127.0.0.1 localhost\n", { mode: 0o644 });
  const mount = [
    'mount --bind "$0" /etc/hosts',
    ...(hostsWritable ? [] : ["mount -o remount,ro,bind /etc/hosts"]),
    'exec "$@"',
  ];
  return [...WIRE.on("client"), "unshare", "--mount", "sh", "-c", mount.join(" && "), hosts];
}

/** Runs a program on the client's host, without the tunnel. */
export function runOnClient(
  stack: TunnelStack,
  command: readonly string[],
  options: ClientOptions = {},
): Promise<Ran> {
  const [file, ...args] = [...onClient(stack, options), ...command] as [string, ...string[]];
  return run(file, args, { env: { ...options.env }, ...(options.cwd !== undefined && { cwd: options.cwd }) });
}

/** Runs a program where an egress address is the host's own: what a direct connection of an admitted host looks like. */
export function runOnEgress(
  command: readonly string[],
  options: Pick<ClientOptions, "env"> = {},
): Promise<Ran> {
  const [file, ...args] = WIRE.on("egress-1") as [string, ...string[]];
  return run(file, [...args, ...command], { env: { ...options.env } });
}

/**
 * Runs a program under `holdfast run` on the client's host.
 *
 * @param flags of `holdfast run`, before the `--`
 * @example await holdfastRun(stack, ["--to", "db.example.test:5432"], ["psql", "-c", "select 1"], { env: postgres.env })
 */
export function holdfastRun(
  stack: TunnelStack,
  flags: readonly string[],
  command: readonly string[],
  options: ClientOptions = {},
): Promise<Ran> {
  return runOnClient(stack, [...HOLDFAST, "run", ...flags, "--", ...command], {
    ...options,
    env: { ...stack.env, ...options.env },
  });
}
