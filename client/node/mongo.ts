import { RelayError } from "../../protocol/errors.ts";
import { createOpener } from "./opener.ts";
import type { SocketsOptions } from "./sockets.ts";
import { proxyCredentials } from "./proxy/credentials.ts";
import { startSocksProxy } from "./proxy/socks-proxy.ts";

/** What a proxy for MongoDB is to let through. */
export interface MongoProxyOptions extends Omit<SocketsOptions, "hosts"> {
  /** The connection string that the driver is given. Its hosts may be connected to; of `mongodb+srv:` all in the parent domain. */
  readonly uri: string;
  /** More of them, as `host:port`: members of the replica set that the string does not name. */
  readonly members?: readonly string[];
}

/** A proxy that runs in this process. */
export interface MongoProxy {
  /** Options of the driver's. */
  readonly options: {
    readonly proxyHost: string;
    readonly proxyPort: number;
    readonly proxyUsername: string;
    readonly proxyPassword: string;
  };
  /** Ends the proxy with all its connections. By itself it keeps no process alive. */
  readonly close: () => Promise<void>;
}

/**
 * For the `proxyHost` options of `mongodb`, the only way that the driver offers: a SOCKS 5 proxy on loopback, with a password made
 * for it, whose connections go by the relay. TLS stays the driver's own with the server. The driver asks its system for the SRV and TXT
 * records of `mongodb+srv:` itself.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`
 * @throws RelayError `request_invalid` where the URL or the connection string is not valid
 * @example
 * const proxy = await startMongoProxy(process.env.HOLDFAST_URL, { uri });
 * const client = new MongoClient(uri, proxy.options);
 * // …
 * await client.close();
 * await proxy.close();
 */
export async function startMongoProxy(
  url: string | undefined,
  { uri, members = [], ...socketsOptions }: MongoProxyOptions,
): Promise<MongoProxy> {
  const open = createOpener(url, socketsOptions);
  const admits = hostsOf(uri, members);
  const credentials = proxyCredentials();
  const proxy = await startSocksProxy({
    credentials,
    keepsAlive: false,
    open: async (target) => {
      if (admits(target.host, target.port)) return open(target);
      throw new RelayError("target_not_allowed", "the connection string names no such host");
    },
  });
  return {
    options: {
      proxyHost: "127.0.0.1",
      proxyPort: proxy.port,
      proxyUsername: credentials.user,
      proxyPassword: credentials.password,
    },
    close: proxy.close,
  };
}

const DEFAULT_PORT = 27_017;

/** Which hosts a connection string names. */
function hostsOf(uri: string, members: readonly string[]): (host: string, port: number) => boolean {
  const match = /^mongodb(\+srv)?:\/\/(?:[^@/]*@)?([^/?]+)/.exec(uri);
  if (match === null) {
    throw new RelayError("request_invalid", "uri is no connection string of the form mongodb://host:port/");
  }
  const named = match[2]!.toLowerCase();
  const exact = new Set(members.map(withPort));
  if (match[1] === undefined) {
    for (const host of named.split(",")) exact.add(withPort(host));
    return (host, port) => exact.has(`${bracketed(host.toLowerCase())}:${port}`);
  }
  // As the driver itself demands of the seeds.
  const parent = named.slice(named.indexOf("."));
  return (host, port) =>
    host.toLowerCase().endsWith(parent) || exact.has(`${bracketed(host.toLowerCase())}:${port}`);
}

function withPort(host: string): string {
  const lower = host.toLowerCase();
  return /:[0-9]+$/.test(lower) ? lower : `${lower}:${DEFAULT_PORT}`;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
