import type { Answers, CertificateFiles, NodeAnswer } from "./answers.ts";
import { CERTIFICATES } from "./layout.ts";

/** The nodes' proxy door, complete. A port that is undefined is not opened. */
export interface ProxyAnswer {
  /** The one name that leads to every node that opens the door. */
  readonly name: string;
  readonly https?: number | undefined;
  readonly http?: number | undefined;
  readonly socks5?: number | undefined;
  /** `node`: the certificate of each node's own listener holds the name as well. */
  readonly certificate?: CertificateFiles | "node" | undefined;
}

/** The port of HTTPS proxies where the answers name none. */
export const PROXY_PORT = 9443;

/**
 * `proxy.` under the edge's own domain; undefined where that is not the operator's to name: an address, a single label, a
 * name below workers.dev.
 *
 * @example defaultProxyName("https://edge.example.com") // "proxy.example.com"
 */
export function defaultProxyName(edge: string): string | undefined {
  const { hostname } = new URL(edge);
  const labels = hostname.split(".");
  if (labels.length < 2 || /^[\d.]+$/.test(hostname) || hostname.endsWith(".workers.dev")) return undefined;
  return ["proxy", ...labels.slice(labels.length > 2 ? 1 : 0)].join(".");
}

/** The ports that the door takes at each node that opens it. */
export function proxyPorts({
  https,
  http,
  socks5,
}: Pick<ProxyAnswer, "https" | "http" | "socks5">): number[] {
  return [https, http, socks5].filter((port) => port !== undefined);
}

/** The edge's variable PROXY_URLS, each in its canonical form. */
export function proxyUrlsOf({ name, https, http, socks5 }: ProxyAnswer): string[] {
  const url = (scheme: string, port: number | undefined, defaultPort?: number) => {
    if (port === undefined) return [];
    return [port === defaultPort ? `${scheme}://${name}` : `${scheme}://${name}:${port}`];
  };
  return [...url("https", https, 443), ...url("http", http, 80), ...url("socks5h", socks5)];
}

/** What stands in a node's file as `proxy`; undefined where it opens none. */
export function nodeProxy(
  { proxy: opens }: NodeAnswer,
  { proxy, certificates }: Answers,
  host: string,
): Readonly<Record<string, unknown>> | undefined {
  if (proxy === undefined || !opens) return undefined;
  const { name, https, http, socks5, certificate } = proxy;
  const files = certificate ?? CERTIFICATES[certificates](name);
  return {
    ...(https !== undefined && { https: { host, port: https, ...(files !== "node" && files) } }),
    ...(http !== undefined && { http: { host, port: http } }),
    ...(socks5 !== undefined && { socks5: { host, port: socks5 } }),
  };
}
