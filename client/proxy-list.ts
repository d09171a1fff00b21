import { RelayError } from "../protocol/errors.ts";
import { PROXY_LIST_MAX_BYTES } from "./limits.ts";
import { type PublishedOptions, readPublished } from "./published.ts";

/** The kinds of proxy URLs that an edge publishes. */
export const PROXY_SCHEMES = ["https", "http", "socks5h"] as const;
export type ProxyScheme = (typeof PROXY_SCHEMES)[number];

/** A way in to the nodes' proxy door. */
export interface PublishedProxy {
  readonly scheme: ProxyScheme;
  /** `host:port`, an IPv6 address in brackets. The port is always there: clients differ on which one is meant without it. */
  readonly authority: string;
}

const DEFAULT_PORTS = { https: "443", http: "80", socks5h: "1080" } as const;

/**
 * The proxies that an edge publishes, in its order; none where it has no proxy door. What is of no kind that is known here is
 * left out: a newer edge may have more.
 *
 * @param edge the edge's origin
 * @throws RelayError `edge_unreachable`, `edge_failed` (another answer than its list); or the signal's reason
 * @example const [{ scheme, authority }] = await fetchProxies("https://edge.example.com");
 */
export async function fetchProxies(
  edge: string,
  options: PublishedOptions = {},
): Promise<readonly PublishedProxy[]> {
  const text = await readPublished(`${edge}/.well-known/proxy.json`, PROXY_LIST_MAX_BYTES, options);
  return text === undefined ? [] : parseProxies(text).flatMap((url) => parseProxy(url) ?? []);
}

function parseProxies(text: string): readonly unknown[] {
  try {
    const { proxies } = JSON.parse(text) as { readonly proxies?: unknown };
    if (Array.isArray(proxies)) return proxies as unknown[];
  } catch {
    // Told below, as anything else that is no list.
  }
  throw new RelayError("edge_failed", "proxy.json is no list of proxies", { reached: "no" });
}

function parseProxy(value: unknown): PublishedProxy | undefined {
  const url = typeof value === "string" ? URL.parse(value) : null;
  const scheme = PROXY_SCHEMES.find((one) => url?.protocol === `${one}:`);
  if (url === null || scheme === undefined) return undefined;
  // Anything else in it would change where a password is sent, or whose it is.
  const isPlain = url.username + url.password + url.search + url.hash === "" && /^\/?$/.test(url.pathname);
  if (!isPlain || url.hostname === "") return undefined;
  return { scheme, authority: `${url.hostname}:${url.port || DEFAULT_PORTS[scheme]}` };
}
