import { DNS_CACHE_MAX_NAMES } from "./limits.ts";
import type { ResolvedAddress } from "./resolver.ts";

/** What is known of a name: its addresses, or why it has none. */
export interface DnsEntry {
  readonly addresses: readonly ResolvedAddress[];
  readonly failure?: {
    readonly code: "dns_failed" | "dns_timeout";
    readonly detail: string;
    readonly cause?: unknown;
  };
  /** How long this holds; 0: for those alone who were waiting for it. */
  readonly seconds: number;
}

/** Entries by name, bounded in number and time. */
export interface DnsCache {
  get(name: string): DnsEntry | undefined;
  put(name: string, entry: DnsEntry): void;
}

/**
 * @param now milliseconds, from any origin that does not jump
 * @example createDnsCache(() => performance.now()).get("example.com") // undefined
 */
export function createDnsCache(now: () => number, maxNames: number = DNS_CACHE_MAX_NAMES): DnsCache {
  // A Map keeps the order of insertion: used entries are moved to its end, so its first is the least recently
  // used.
  const entries = new Map<string, { readonly entry: DnsEntry; readonly until: number }>();
  return {
    get(name) {
      const found = entries.get(name);
      if (found === undefined) return undefined;
      entries.delete(name);
      if (now() >= found.until) return undefined;
      entries.set(name, found);
      return found.entry;
    },
    put(name, entry) {
      if (entry.seconds === 0) return;
      entries.delete(name);
      if (entries.size >= maxNames) entries.delete(entries.keys().next().value!);
      entries.set(name, { entry, until: now() + entry.seconds * 1_000 });
    },
  };
}
