import type { ProxyUrls } from "./child-env.ts";
import type { Opener } from "../../client/node/opener.ts";
import { type Credentials, proxyCredentials } from "../../client/node/proxy/credentials.ts";
import { openDirect } from "./proxy/direct.ts";
import { startHttpProxy } from "./proxy/http-proxy.ts";
import { createRouter } from "./proxy/router.ts";
import { startSocksProxy } from "../../client/node/proxy/socks-proxy.ts";

/** Both proxies, and how they are reached. */
export interface LocalProxies {
  readonly urls: ProxyUrls;
  readonly close: () => Promise<void>;
}

/** What the proxies are started with. */
export interface LocalProxiesOptions {
  /** By the relay. */
  readonly open: Opener;
  readonly hosts: readonly string[];
  readonly destinations: readonly { readonly host: string; readonly port: number }[];
  readonly credentials?: Credentials;
  /** 0 or left out: any that is free. */
  readonly port?: number | undefined;
  readonly socksPort?: number | undefined;
}

/**
 * Starts the HTTP and the SOCKS proxy on 127.0.0.1: what is named goes by the relay, the rest from this machine itself.
 * @throws Error the system's, where a port can't be had
 */
export async function startLocalProxies(options: LocalProxiesOptions): Promise<LocalProxies> {
  const { hosts, destinations, credentials = proxyCredentials() } = options;
  const open = createRouter({ relay: options.open, direct: openDirect, hosts, destinations });
  const http = await startHttpProxy({ open, credentials, port: options.port });
  try {
    const socks = await startSocksProxy({ open, credentials, port: options.socksPort });
    const at = (port: number) =>
      `${credentials.user}:${encodeURIComponent(credentials.password)}@127.0.0.1:${port}`;
    return {
      urls: { http: `http://${at(http.port)}`, socks: `socks5h://${at(socks.port)}` },
      close: async () => {
        await Promise.all([http.close(), socks.close()]);
      },
    };
  } catch (error) {
    await http.close();
    throw error;
  }
}
