/** Ports of a node's proxy door on loopback; what is left out is not opened. */
export interface DevProxy {
  readonly https?: number;
  readonly http?: number;
  readonly socks5?: number;
  /** Whether other nodes have the same ports. */
  readonly reusePort?: boolean;
}

/** What stands in a node's configuration as `proxy`; the certificate is that of its `listen`. */
export function proxyConfig({ reusePort, ...ports }: DevProxy): Readonly<Record<string, unknown>> {
  const config: Record<string, unknown> = reusePort === undefined ? {} : { reusePort };
  for (const [kind, port] of Object.entries(ports)) config[kind] = { host: "127.0.0.1", port };
  return config;
}

/**
 * The edge's PROXY_URLS, the first node's first: on one machine each node has ports of its own in place of an address behind
 * one name, but for those that share theirs.
 */
export function proxyUrls(nodes: readonly { readonly proxy?: DevProxy }[]): string[] {
  const all = nodes.flatMap(({ proxy: { https, http, socks5 } = {} }) => [
    ...(https === undefined ? [] : [`https://localhost:${https}`]),
    ...(http === undefined ? [] : [`http://localhost:${http}`]),
    ...(socks5 === undefined ? [] : [`socks5h://localhost:${socks5}`]),
  ]);
  return [...new Set(all)];
}
