import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

/** What is said where the system lets none of this be made. */
export const NOT_ALLOWED =
  "these tests need network namespaces (Linux; unshare, nsenter, ip, nft; root or user namespaces), and this system lets none be made";

/** A network, a mount table and processes of one's own; without root, a user namespace of one's own allows the same. */
const NAMESPACES = [
  "--net",
  "--mount",
  "--pid",
  "--fork",
  "--kill-child",
  "--mount-proc",
  ...(process.getuid?.() === 0 ? [] : ["--map-root-user"]),
];

/**
 * Whether the system lets namespaces be made.
 * @throws Error where it doesn't
 */
export async function expectNamespaces(): Promise<void> {
  try {
    await promisify(execFile)("unshare", [...NAMESPACES, "true"]);
  } catch (cause) {
    throw new Error(`${NOT_ALLOWED}: ${(cause as Error).message}`, { cause });
  }
}

/** Runs Node in namespaces of its own; whatever is left in there is killed with it. Resolves with its exit code. */
export async function enterNamespaces(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const child = spawn("unshare", [...NAMESPACES, process.execPath, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => child.kill("SIGKILL"));
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}
