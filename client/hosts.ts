import { RelayError } from "../protocol/errors.ts";
import { parseAllowedTarget } from "../protocol/targets.ts";

/** Tells whether a URL's host goes through the relay. */
export type HostMatcher = (hostname: string) => boolean;

/**
 * Parses the `hosts` option once: exact hosts, or `*.suffix` for every depth of subdomains but not the suffix itself.
 * Ports and schemes play no part.
 *
 * @throws RelayError `request_invalid`, quoting the pattern
 * @example parseHosts(["api.bank.com", "*.vendor.io"])("eu.vendor.io") // true
 */
export function parseHosts(patterns: readonly string[]): HostMatcher {
  const exact = new Set<string>();
  const suffixes: string[] = [];
  for (const pattern of patterns) {
    const host = parsePattern(pattern);
    if (host.startsWith(".")) suffixes.push(host);
    else exact.add(host);
  }
  return (hostname) => {
    // `api.bank.com.` is the same host to DNS: going direct for it would slip past the relay.
    const host = hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
    return exact.has(host) || suffixes.some((suffix) => host.length > suffix.length && host.endsWith(suffix));
  };
}

function parsePattern(pattern: string): string {
  const bad = (why: string, cause?: unknown) =>
    new RelayError("request_invalid", `hosts entry ${JSON.stringify(pattern.slice(0, 200))} ${why}`, {
      cause,
    });
  if (!/^(\*\.)?([^\s/:@?#*]+|\[[0-9a-fA-F:.]+\])$/.test(pattern)) {
    throw bad("is neither a host (api.bank.com) nor a suffix (*.vendor.io); it has no scheme, port or path");
  }
  try {
    return parseAllowedTarget(`https://${pattern}`).host!;
  } catch (cause) {
    throw bad("has no valid host", cause);
  }
}
