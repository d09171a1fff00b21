import { RelayError } from "./errors.ts";
import { type AllowedTarget, parseAllowedTarget } from "./targets.ts";

/** Where every relay URL's path begins, before the credential. */
export const RELAY_URL_PREFIX = "/r/";

/** What a relay URL stands for. */
export interface RelayUrlTarget {
  /** `https://host[:port]`, the port left out where it is 443. */
  readonly origin: string;
  /** The token's entries; one of them has to admit a request. */
  readonly allow: readonly AllowedTarget[];
}

/**
 * Reads the `allow` of a scope token for relay URLs: one https origin, with one path prefix at most. It is one entry, or a path
 * and everything below it in two.
 *
 * @throws RelayError `request_invalid`, which says what such a list looks like
 * @example parseRelayUrlTarget(["GET,POST https://api.bank.com/v1/*"]).origin // "https://api.bank.com"
 * @example parseRelayUrlTarget(["https://api.bank.com/v1", "https://api.bank.com/v1/*"])
 */
export function parseRelayUrlTarget(entries: readonly string[]): RelayUrlTarget {
  const allow = entries.map((entry) => parseAllowedTarget(entry));
  const [first] = allow;
  if (first === undefined || entries.length > 2) throw bad("has one entry, or a path and what is below it");
  if (entries.length === 2 && entries[1] !== `${entries[0]}/*`) {
    throw bad('has a second entry only where that is the first with "/*" behind it');
  }
  const { scheme, host, port } = first;
  if (scheme !== "https") throw bad("names an https:// target, as a relay URL is for nothing else");
  if (host === undefined || host.startsWith(".")) throw bad("names one host, without a wildcard");
  const bracketed = host.includes(":") ? `[${host}]` : host;
  return { origin: `https://${bracketed}${port === 443 ? "" : `:${port}`}`, allow };
}

/**
 * The `allow` of a token that opens a URL and everything below it.
 *
 * @param target `https://api.bank.com/v1`; one that ends in a slash, or in `/*`, opens what is below it and not itself
 * @param methods the only ones; undefined for any
 * @throws RelayError `request_invalid`
 * @example relayUrlAllow("https://api.bank.com/v1", ["GET"]) // ["GET https://api.bank.com/v1", "GET https://api.bank.com/v1/*"]
 */
export function relayUrlAllow(target: string, methods?: readonly string[]): string[] {
  const entry = `${methods === undefined ? "" : `${methods.join(",")} `}${target}`;
  const isOrigin = /^[^/]*\/\/[^/]*\/?$/.test(target);
  const allow =
    isOrigin || target.endsWith("/*")
      ? [entry]
      : target.endsWith("/")
        ? [`${entry}*`]
        : [entry, `${entry}/*`];
  parseRelayUrlTarget(allow);
  return allow;
}

/**
 * @param target as `relayUrlAllow` takes it
 * @returns where software has to send what is for that URL
 * @example relayUrl("https://edge.example.com", "hf_…", "https://api.bank.com/v1/*") // "https://edge.example.com/r/hf_…/v1"
 */
export function relayUrl(edge: string, credential: string, target: string): string {
  const path = /^[^/]*\/\/[^/]*(.*)$/.exec(target)?.[1] ?? "";
  return `${edge}${RELAY_URL_PREFIX}${credential}${path.replace(/\/\*?$/, "")}`;
}

function bad(why: string): RelayError {
  return new RelayError("request_invalid", `allow of a token for a relay URL ${why}`);
}
