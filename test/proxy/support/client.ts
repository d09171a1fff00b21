import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { begin, type Ran, type Running } from "../../support/run.ts";
import { WIRE } from "./hosts.ts";
import type { ProxyStack } from "./stack.ts";

/** Debian's public authorities: what every program trusts, unless it brings its own. */
const PUBLIC_CAS = "/etc/ssl/certs/ca-certificates.crt";

/** Programs that don't end by themselves are a failure, and end all the same. */
const PROGRAM_SECONDS = 40;

/** How a program runs on the client's host. */
export interface ClientOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly seconds?: number;
}

/**
 * Starts a program on the client's host, where the tests' authority stands for the public ones, and where no other variable is
 * set than those that are named.
 */
export function beginOnClient(
  stack: ProxyStack,
  command: readonly string[],
  { env = {}, cwd, seconds = PROGRAM_SECONDS }: ClientOptions = {},
): Running {
  const home = join(stack.dir, "home");
  mkdirSync(home, { recursive: true });
  const mount = `mount --bind '${stack.ca}' ${PUBLIC_CAS} && exec "$@"`;
  const [file, ...args] = [
    ...WIRE.on("client"),
    "unshare",
    "--mount",
    "sh",
    "-c",
    mount,
    "sh",
    "timeout",
    String(seconds),
    ...command,
  ] as unknown as [string, ...string[]];
  return begin(file, args, {
    bare: true,
    cwd: cwd ?? home,
    env: {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: home,
      LANG: "C.UTF-8",
      // What has authorities of its own, and what looks for single files beside the bundle.
      NODE_EXTRA_CA_CERTS: stack.ca,
      SSL_CERT_FILE: PUBLIC_CAS,
      ...env,
    },
  });
}

/** Runs a program on the client's host to its end. */
export function runOnClient(
  stack: ProxyStack,
  command: readonly string[],
  options?: ClientOptions,
): Promise<Ran> {
  return beginOnClient(stack, command, options).ended;
}
