import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";

/** Asked by Debian's packages before they start a service: 101 says no. */
const POLICY = "/usr/sbin/policy-rc.d";

/**
 * Installs what is missing, and starts none of it.
 * @param by who says so
 * @throws Error on a system without Debian's packages, and where one can't be installed
 */
export async function installMissing(packages: readonly string[], by: string): Promise<void> {
  const missing: string[] = [];
  for (const name of packages) if (!(await isInstalled(name))) missing.push(name);
  if (missing.length === 0) return;
  console.log(`${by}: installs ${missing.join(" ")}`);
  const isOurs = !existsSync(POLICY);
  if (isOurs) writeFileSync(POLICY, "#!/bin/sh\nexit 101\n");
  try {
    if (isOurs) chmodSync(POLICY, 0o755);
    await apt("update", "-qq");
    await apt("install", "-y", "-qq", "--no-install-recommends", ...missing);
  } finally {
    if (isOurs) rmSync(POLICY);
  }
  console.log(`${by}: installed ${missing.length} packages`);
}

async function isInstalled(name: string): Promise<boolean> {
  const query = promisify(execFile)("dpkg-query", ["-W", "-f=${db:Status-Status}", name]);
  return query.then(
    ({ stdout }) => stdout === "installed",
    (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") {
        throw new Error("the tools come as Debian's packages, and this is no Debian", { cause: error });
      }
      return false;
    },
  );
}

async function apt(...args: readonly string[]): Promise<void> {
  const child = spawn("apt-get", args, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`apt-get ${args[0]} ended with ${code}`);
}
