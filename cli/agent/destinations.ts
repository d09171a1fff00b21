import { isRelayError } from "../../client/index.ts";
import { tunnelUrl } from "../../protocol/targets.ts";
import { parseConnectionUrl, parseHost, SCHEME_PORTS, type WrittenHost } from "./connection-url.ts";

/** A host and port that the program's connections are led to, through the relay. */
export interface Destination {
  /** Canonical: lower case, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Where to listen for it, in place of the host's own loopback address and the same port. */
  readonly listen?: Listen;
  /** Whether the host's name is to lead here; false where the program is told the listener's address by other means. */
  readonly named: boolean;
}

/** A part that is left out is chosen by the agent. */
export interface Listen {
  /** In 127.0.0.0/8. */
  readonly address?: string;
  readonly port?: number;
}

/** What a list of destinations names. */
export interface NamedDestinations {
  readonly destinations: Destination[];
  /** Names of `mongodb+srv://` URLs: what hosts they have is asked of the relay. */
  readonly services: string[];
}

/**
 * Reads a list as `--to` and `HOLDFAST_DESTINATIONS` hold it: `host:port` and URLs, separated by commas. A URL's host gets
 * its scheme's port where it names none; one with several hosts stands for all of them.
 *
 * @throws Error what is wrong, in words that never hold a URL's credentials
 * @example parseDestinations("db.example.com:5432,redis://:pw@cache.example.com").destinations[1]?.port // 6379
 */
export function parseDestinations(list: string): NamedDestinations {
  const destinations: Destination[] = [];
  const services: string[] = [];
  // A comma before a scheme separates; any other may stand inside a URL.
  for (const item of list.split(/,(?=\s*[a-z][a-z0-9+.-]*:\/\/)/i).map((text) => text.trim())) {
    if (!/^(jdbc:)?[a-z][a-z0-9+.:-]*:@?\/\//i.test(item)) {
      for (const plain of item.split(",").map((text) => text.trim())) {
        if (plain !== "") destinations.push(plainDestination(plain));
      }
      continue;
    }
    const { hosts, behind, service } = urlHosts(item);
    if (service !== undefined) services.push(service);
    destinations.push(...hosts, ...behind.map(plainDestination));
  }
  return { destinations, services };
}

/** A checked destination. @throws Error what is wrong with its host or port */
export function destination(host: string, port: number, more: Partial<Destination> = {}): Destination {
  const [, name, digits] = /^tcp:\/\/(.+):([0-9]+)$/.exec(canonical(host, port))!;
  return { host: name!.replace(/^\[(.*)\]$/, "$1"), port: Number(digits), named: true, ...more };
}

/** `host:port`, with brackets where they belong. */
export function authorityOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Whether a host has a name that can be led to another address. An address has none; nor may `localhost` (RFC 6761 section
 * 6.3) lead elsewhere, by which programs reach whatever else is on this machine.
 */
export function hasName(host: string): boolean {
  return !host.includes(":") && !/^[0-9.]+$/.test(host) && !/(^|\.)localhost$/.test(host);
}

function plainDestination(text: string): Destination {
  // Something with an @ may hold a password.
  const shown = text.includes("@") ? "a destination" : JSON.stringify(text.slice(0, 200));
  const written = text.includes("@") ? undefined : parseHost(text);
  if (written === undefined || written.host === "") {
    throw new Error(`${shown} is neither host:port nor a URL`);
  }
  if (written.port === undefined) throw new Error(`${shown} names no port: write host:port`);
  return destination(written.host, written.port);
}

function urlHosts(item: string): { hosts: Destination[]; behind: string[]; service: string | undefined } {
  const url = parseConnectionUrl(item);
  const scheme = /^[a-z][a-z0-9+.:-]*(?=:@?\/\/)/i.exec(item)![0];
  if (url === undefined) {
    throw new Error(`a ${scheme}:// URL has no valid host: percent-encode its credentials`);
  }
  // In `postgres://db.example.com/shop,cache.example.com:6379` the second is a destination, not a part of the path.
  const behind = url.rest
    .split(",")
    .slice(1)
    .map((text) => text.trim())
    .filter((text) => /^[a-z0-9_.-]+:[0-9]+$/i.test(text));
  if (url.scheme === "mongodb+srv") {
    const [first, ...more] = url.hosts as [WrittenHost, ...WrittenHost[]];
    if (more.length > 0 || first.port !== undefined) {
      throw new Error("a mongodb+srv:// URL names one host and no port");
    }
    return { hosts: [], behind, service: destination(first.host, SCHEME_PORTS["mongodb"]!).host };
  }
  const hosts = url.hosts.map(({ host, port = SCHEME_PORTS[url.scheme] }) => {
    if (host === "") throw new Error(`a ${scheme}:// URL names no host`);
    if (port === undefined) throw new Error(`a ${scheme}:// URL names no port, and its scheme has none`);
    return destination(host, port);
  });
  return { hosts, behind, service: undefined };
}

function canonical(host: string, port: number): string {
  try {
    return tunnelUrl(host, port);
  } catch (cause) {
    const why = isRelayError(cause) ? cause.detail : String(cause);
    throw new Error(why.replace("the target URL", `destination ${JSON.stringify(host.slice(0, 253))}`), {
      cause,
    });
  }
}
