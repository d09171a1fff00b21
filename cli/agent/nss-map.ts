import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentError } from "./agent-error.ts";
import { withoutNames } from "./hosts-lines.ts";
import { HOSTS_FILE } from "./hosts-map.ts";
import type { NameEntry, NameMap } from "./name-map.ts";

const LIBRARY = "libnss_wrapper.so";

type Variables = Readonly<Record<string, string | undefined>>;

/** The library of `HOLDFAST_NSS_WRAPPER`, or where distributions put it; undefined where there is none. */
export function findNssWrapper(env: Variables): string | undefined {
  const asked = env["HOLDFAST_NSS_WRAPPER"];
  if (asked !== undefined && asked !== "") return existsSync(asked) ? asked : undefined;
  return libraryFolders()
    .map((folder) => join(folder, LIBRARY))
    .find((path) => existsSync(path));
}

/**
 * Lets names lead to addresses for the child and its children alone: nss_wrapper, preloaded, answers glibc's look-ups from a
 * private copy of the hosts file. A program that does not load glibc for its look-ups (Go without cgo, musl, static ones) or that
 * changes its user never sees it.
 *
 * @param env the agent's own, whose LD_PRELOAD and NSS_WRAPPER_HOSTS are kept
 * @throws AgentError where the library can't be found
 */
export async function mapByNssWrapper(entries: readonly NameEntry[], env: Variables): Promise<NameMap> {
  const library = findNssWrapper(env);
  if (library === undefined) {
    throw new AgentError(
      `${LIBRARY} can't be found: install libnss-wrapper, or name its file in HOLDFAST_NSS_WRAPPER`,
    );
  }
  const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
  const path = join(folder, "hosts");
  const names = entries.map(({ host }) => host);
  const lines = entries.map(({ host, address }) => `${address} ${host}\n`).join("");
  const others = withoutNames(readHosts(env["NSS_WRAPPER_HOSTS"] ?? HOSTS_FILE), names);
  await writeFile(path, Buffer.from(lines + others, "latin1"), { mode: 0o600, flag: "wx" });
  return {
    kind: "nss",
    env: {
      LD_PRELOAD: [env["LD_PRELOAD"], library].filter((one) => one !== undefined && one !== "").join(":"),
      NSS_WRAPPER_HOSTS: path,
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

function readHosts(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // An image may have none: names are then looked up in DNS.
    return "";
  }
}

function libraryFolders(): string[] {
  const base = ["/usr/lib", "/usr/local/lib", "/lib"];
  const multiarch = base.flatMap((folder) => {
    try {
      return readdirSync(folder)
        .filter((name) => /^[a-z0-9_]+-linux-gnu[a-z0-9]*$/.test(name))
        .map((name) => join(folder, name));
    } catch {
      return [];
    }
  });
  return ["/usr/lib64", "/lib64", ...base, ...multiarch];
}
