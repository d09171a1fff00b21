import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { AgentError } from "./agent-error.ts";
import { authorityOf, hasName } from "./destinations.ts";
import { alsoNamed } from "./hosts-lines.ts";
import { HOSTS_FILE, mapByHosts } from "./hosts-map.ts";
import type { Route } from "./listeners.ts";
import type { NameEntry, NameMap, NameWay } from "./name-map.ts";
import { mapByNssWrapper } from "./nss-map.ts";

/** Where names are to be written, and what was found out on the way. */
export interface NameOptions {
  readonly way: NameWay;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Another file than the system's, whose names then lead nowhere: for tests. */
  readonly hostsFile?: string;
  /** Gets why a way was not taken. */
  readonly note: (line: string) => void;
}

/** Whether a name can lead to this route: names carry no port. */
export function isNameable({ destination, port }: Route): boolean {
  return destination.named && port === destination.port && hasName(destination.host);
}

/**
 * The names that lead to routes, one entry for each host.
 * @throws AgentError where a host's routes lie on two addresses
 */
export function nameEntries(routes: readonly Route[]): NameEntry[] {
  const entries = new Map<string, string>();
  for (const { destination, address } of routes.filter(isNameable)) {
    const other = entries.get(destination.host);
    if (other !== undefined && other !== address) {
      throw new AgentError(
        `${destination.host} is listened for at ${other} and ${address}: give its destinations one listen address`,
      );
    }
    entries.set(destination.host, address);
  }
  return [...entries].map(([host, address]) => ({ host, address }));
}

/**
 * Makes names lead to the routes by the way that is asked for, or by the first that works: the hosts file, nss_wrapper, else
 * none, which leaves the variables to be rewritten.
 *
 * @throws AgentError where the way that is asked for does not work here
 */
export async function leadNames(
  routes: readonly Route[],
  { way, env, hostsFile = HOSTS_FILE, note }: NameOptions,
): Promise<NameMap> {
  const entries = nameEntries(routes);
  const none: NameMap = { kind: "env", env: {}, close: async () => {} };
  if (entries.length === 0 || way === "env") return none;
  const failed = (what: string, cause: unknown) => {
    const why = `${what}: ${(cause as Error).message}`;
    if (way !== "auto") throw new AgentError(`names can't lead here by ${why}`, { cause });
    note(`names don't lead here by ${why}`);
  };
  if (way !== "nss") {
    try {
      const map = await byHosts(entries, hostsFile);
      const twice = alsoNamed(
        readFileSync(hostsFile, "latin1"),
        entries.map(({ host }) => host),
      );
      if (twice.length > 0) {
        note(
          `${hostsFile} names ${twice.join(", ")} in other lines too: programs may go round the relay by those`,
        );
      }
      return map;
    } catch (error) {
      failed(hostsFile, error);
    }
  }
  try {
    return await mapByNssWrapper(entries, env);
  } catch (error) {
    failed("nss_wrapper", error);
  }
  return none;
}

/** The hosts file may be writable and yet not be asked, as nsswitch.conf can have it. */
async function byHosts(entries: readonly NameEntry[], path: string): Promise<NameMap> {
  const map = await mapByHosts(entries, path);
  if (path !== HOSTS_FILE) return map;
  for (const { host, address } of entries) {
    const found = await lookup(host, { all: true }).catch(() => []);
    if (found.some((one) => one.address === address)) continue;
    await map.close();
    throw new AgentError(
      `${host} does not resolve to what it says: see the hosts line of /etc/nsswitch.conf`,
    );
  }
  return map;
}

/** What a person reads of a route. */
export function routeLine({ destination, address, port }: Route, kind: NameMap["kind"]): string {
  const at = `${address}:${port}`;
  return kind !== "env" && isNameable({ destination, address, port })
    ? `${authorityOf(destination)} leads to ${at}`
    : `${authorityOf(destination)} is at ${at}`;
}
