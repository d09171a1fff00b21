/** Ports of a node's proxy door on loopback; what is left out is not opened. */
export interface DevProxy {
  readonly https?: number;
  readonly http?: number;
  readonly socks5?: number;
}

/** What stands in a node's configuration as `proxy`; the certificate is that of its `listen`. */
export function proxyConfig(ports: DevProxy): Readonly<Record<string, { host: string; port: number }>> {
  return Object.fromEntries(
    Object.entries(ports).map(([kind, port]) => [kind, { host: "127.0.0.1", port: port as number }]),
  );
}

/**
 * The edge's PROXY_URLS, the first node's first: on one machine each node has ports of its own in place of an address behind
 * one name.
 */
export function proxyUrls(nodes: readonly { readonly proxy?: DevProxy }[]): string[] {
  return nodes.flatMap(({ proxy: { https, http, socks5 } = {} }) => [
    ...(https === undefined ? [] : [`https://localhost:${https}`]),
    ...(http === undefined ? [] : [`http://localhost:${http}`]),
    ...(socks5 === undefined ? [] : [`socks5h://localhost:${socks5}`]),
  ]);
}
