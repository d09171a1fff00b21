import type { SeedList } from "../../protocol/seed-list.ts";
import {
  type ConnectionUrl,
  parseConnectionUrl,
  parseHost,
  SCHEME_PORTS,
  withHosts,
  type WrittenHost,
} from "./connection-url.ts";
import { seedListUrl } from "./seed-list.ts";

/** Where a host's connections are to go. */
export interface Lead {
  readonly address: string;
  readonly port: number;
}

/** What a variable's hosts are replaced by. */
export interface Leads {
  /**
   * Undefined where the host stays as it is.
   *
   * @param port undefined where neither the value nor its scheme tells it
   */
  readonly lead: (host: string, port: number | undefined) => Lead | undefined;
  /** The hosts of a `mongodb+srv://` URL's name, where they are known. */
  readonly service: (name: string) => SeedList | undefined;
}

/** What became of a variable. Its values may hold a password: they are for the child's environment alone. */
export interface Rewritten {
  /** The variable itself and, for libpq, PGHOSTADDR and PGPORT. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether TLS sees the address in the name's place: a client that verifies names will refuse it. */
  readonly hidesName: boolean;
}

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Rewrites the hosts in a variable's value: a URL (with several hosts, JDBC too), `host:port`, or a plain host as PGHOST has it.
 *
 * With `sslmode=verify-full` libpq's own URLs and variables keep the host, and get `hostaddr`: libpq connects to the address and
 * verifies the name. Without it the host is replaced, since other drivers read the same URLs and don't know `hostaddr`.
 *
 * @returns undefined where nothing in it is led anywhere
 * @throws Error what can't be rewritten, without the value
 */
export function rewriteVariable(name: string, env: Variables, leads: Leads): Rewritten | undefined {
  const value = env[name];
  if (value === undefined) return undefined;
  const url = parseConnectionUrl(value);
  if (url !== undefined) return rewriteUrl(name, url, env["PGSSLMODE"], leads);
  const hosts = value.split(",").flatMap((text) => parseHost(text.trim()) ?? []);
  if (hosts.length < value.split(",").length || hosts.some(({ host }) => host === "")) return undefined;
  return name === "PGHOST" ? rewritePgHost(hosts, env, leads) : rewriteHosts(name, hosts, leads);
}

/** The names of variables whose values hold one of these hosts: never the values. */
export function variablesHolding(env: Variables, hosts: readonly string[]): string[] {
  const any = new Set(hosts);
  return Object.keys(env).filter((name) => {
    const value = env[name] ?? "";
    const written =
      parseConnectionUrl(value)?.hosts ?? value.split(",").map((text) => parseHost(text.trim()));
    return written.some((host) => host !== undefined && any.has(host.host));
  });
}

function rewriteUrl(
  name: string,
  written: ConnectionUrl,
  sslMode: string | undefined,
  { lead, service }: Leads,
): Rewritten | undefined {
  let url = written;
  const found = url.scheme === "mongodb+srv" ? service(url.hosts[0]!.host) : undefined;
  if (found !== undefined) url = parseConnectionUrl(seedListUrl(url, found))!;
  const led = url.hosts.map(({ host, port = SCHEME_PORTS[url.scheme] }) => lead(host, port));
  if (led.every((one) => one === undefined)) {
    return found === undefined
      ? undefined
      : { env: { [name]: withHosts(url, texts(url.hosts)) }, hidesName: false };
  }
  if (isVerifiedByLibpq(url, sslMode)) {
    const rest = withOption(url.rest, `hostaddr=${led.map((one) => one?.address ?? "").join(",")}`);
    const hosts = url.hosts.map((host, index) => {
      const to = led[index];
      const isMoved = to !== undefined && to.port !== (host.port ?? SCHEME_PORTS[url.scheme]);
      return isMoved ? `${bare(host)}:${to.port}` : host.text;
    });
    return { env: { [name]: withHosts(url, hosts, rest) }, hidesName: false };
  }
  const hosts = url.hosts.map((host, index) => replaced(host, led[index], SCHEME_PORTS[url.scheme]));
  return { env: { [name]: withHosts(url, hosts) }, hidesName: true };
}

/** libpq looks a name up only where it was given no address for it; an empty one in the list is none. */
function rewritePgHost(
  hosts: readonly WrittenHost[],
  env: Variables,
  { lead }: Leads,
): Rewritten | undefined {
  const ports = (env["PGPORT"] ?? "5432").split(",").map(Number);
  const portOf = (index: number) => ports[index] ?? ports[0];
  const led = hosts.map(({ host }, index) => lead(host, portOf(index)));
  if (led.every((one) => one === undefined)) return undefined;
  const addresses = led.map((one) => one?.address ?? "");
  const newPorts = led.map((one, index) => one?.port ?? portOf(index));
  const isMoved = newPorts.some((port, index) => port !== portOf(index));
  const isVerified = env["PGSSLMODE"] === "verify-full";
  return {
    env: {
      ...(isVerified
        ? { PGHOSTADDR: addresses.join(",") }
        : { PGHOST: hosts.map((host, index) => led[index]?.address ?? host.text).join(",") }),
      ...(isMoved && { PGPORT: newPorts.join(",") }),
    },
    hidesName: !isVerified,
  };
}

function rewriteHosts(name: string, hosts: readonly WrittenHost[], { lead }: Leads): Rewritten | undefined {
  const led = hosts.map(({ host, port }) => lead(host, port));
  if (led.every((one) => one === undefined)) return undefined;
  return {
    env: { [name]: hosts.map((host, index) => replaced(host, led[index], undefined)).join(",") },
    hidesName: true,
  };
}

/** The port is written where it was, and where it is another one than would be taken without. */
function replaced(host: WrittenHost, to: Lead | undefined, defaultPort: number | undefined): string {
  if (to === undefined) return host.text;
  const isWritten = host.port !== undefined || (defaultPort !== undefined && to.port !== defaultPort);
  return isWritten ? `${to.address}:${to.port}` : to.address;
}

/** JDBC, or a driver's name behind the scheme (`postgresql+asyncpg`), is not libpq; psycopg is. */
function isVerifiedByLibpq(
  { scheme, isJdbc, head, rest }: ConnectionUrl,
  sslMode: string | undefined,
): boolean {
  const isLibpq =
    !isJdbc && !/\+(?!psycopg)/.test(head) && (scheme === "postgres" || scheme === "postgresql");
  const mode = /[?&]sslmode=([^&#]*)/.exec(rest)?.[1] ?? sslMode;
  return isLibpq && mode === "verify-full" && !/[?&]hostaddr=/.test(rest);
}

function withOption(rest: string, option: string): string {
  const [before, fragment] = [rest.replace(/#.*$/s, ""), /#.*$/s.exec(rest)?.[0] ?? ""];
  const path = before === "" || before.startsWith("?") ? `/${before}` : before;
  const joint = !path.includes("?") ? "?" : /[?&]$/.test(path) ? "" : "&";
  return `${path}${joint}${option}${fragment}`;
}

function bare({ text, port }: WrittenHost): string {
  return port === undefined ? text.replace(/:$/, "") : text.slice(0, text.lastIndexOf(":"));
}

function texts(hosts: readonly WrittenHost[]): string[] {
  return hosts.map(({ text }) => text);
}
