import { promises as dns } from "node:dns";
import { RelayError } from "../protocol/errors.ts";
import type { Cancel } from "./cancellation.ts";
import { type Answer, conclude } from "./dns-answers.ts";
import { createDnsCache, type DnsEntry } from "./dns-cache.ts";
import { DnsWarmth } from "./dns-warmth.ts";
import { parseIp } from "./ip-address.ts";
import { DNS_DEADLINE_MS, DNS_OTHER_FAMILY_MS } from "./limits.ts";

/** One address of a name. */
export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** What a name stands for. IPv4 comes first, each family in the order of its answer. */
export interface Resolution {
  readonly addresses: readonly ResolvedAddress[];
  /** Whether no query was made for this look-up: answered from the cache, an IP literal, localhost. */
  readonly cached: boolean;
}

/** Looks names up. */
export interface Resolver {
  /**
   * @param host a DNS name in ASCII, without a trailing dot, or an IP literal without brackets
   * @throws RelayError `dns_failed`, `dns_timeout`; or the signal's reason
   */
  resolve(host: string, signal?: Cancel): Promise<Resolution>;
  /** The same where no query has to be made; undefined where one has. @throws RelayError as `resolve` */
  known?(host: string): Resolution | undefined;
}

/** How names are looked up. */
export interface ResolverOptions {
  /** Name servers, `address` or `address:port`; the system's own where left out. */
  readonly servers?: readonly string[];
  /** Whether AAAA is asked for. */
  readonly ipv6: boolean;
  /** For one query to one server, in milliseconds. */
  readonly timeoutMs: number;
  /** How often a query is sent. */
  readonly tries: number;
  /** For a whole look-up, in milliseconds. */
  readonly deadlineMs?: number;
  /** Milliseconds, from any origin; `performance.now` by default. */
  readonly now?: () => number;
}

/**
 * Resolves by c-ares, in this process: getaddrinfo would block a thread for each look-up, hide TTLs, and read
 * what is no DNS name in its own way. No hosts file and no search list applies. Concurrent look-ups of a name
 * share one, and one that is in use is looked up again before its TTL has ended.
 *
 * @example
 * const resolver = createResolver({ ipv6: false, timeoutMs: 1_500, tries: 3 });
 * await resolver.resolve("example.com"); // { addresses: [{ address: "192.0.2.7", family: 4 }], cached: false
 * }
 */
export function createResolver(options: ResolverOptions): Resolver {
  const { ipv6, timeoutMs, tries, deadlineMs = DNS_DEADLINE_MS, now = () => performance.now() } = options;
  const channel = new dns.Resolver({ timeout: timeoutMs, tries });
  if (options.servers !== undefined) channel.setServers(options.servers);
  const families: readonly (4 | 6)[] = ipv6 ? [4, 6] : [4];
  const cache = createDnsCache(now);
  const underway = new Map<string, Promise<DnsEntry>>();
  const warmth = new DnsWarmth((name) => renew(name), now);

  async function ask(name: string, family: 4 | 6): Promise<Answer> {
    try {
      const records = await (family === 4
        ? channel.resolve4(name, { ttl: true })
        : channel.resolve6(name, { ttl: true }));
      return { family, records };
    } catch (error) {
      return { family, records: [], error: error as { code?: string } };
    }
  }

  /** The answers that came in time, one a family at most. */
  function gather(name: string): Promise<Answer[]> {
    return new Promise((resolve) => {
      const answers: Answer[] = [];
      const finish = () => resolve([...answers]);
      const deadline = setTimeout(finish, deadlineMs);
      let patience: NodeJS.Timeout | undefined;
      for (const family of families) {
        void ask(name, family).then((answer) => {
          answers.push(answer);
          if (answers.length < families.length) {
            if (answer.records.length > 0) patience = setTimeout(finish, DNS_OTHER_FAMILY_MS);
            return;
          }
          clearTimeout(deadline);
          clearTimeout(patience);
          finish();
        });
      }
    });
  }

  /** Never rejects, since it may outlive whoever asked for it. */
  async function lookUp(name: string, isRenewal = false): Promise<DnsEntry> {
    const entry = conclude(name, families, await gather(name));
    // What is known goes on to hold until its end where nothing better can be had.
    const isNews = entry.failure === undefined || !isRenewal;
    if (isNews) cache.put(name, entry);
    if (entry.failure === undefined) warmth.holds(name, entry.seconds);
    else warmth.forget(name);
    underway.delete(name);
    return entry;
  }

  function known(host: string): Resolution | undefined {
    const here = withoutQuery(host, families);
    if (here !== undefined) return { addresses: here, cached: true };
    const name = host.toLowerCase();
    checkName(name);
    warmth.used(name);
    const kept = cache.get(name);
    return kept === undefined ? undefined : { addresses: addressesOf(kept), cached: true };
  }

  function renew(name: string): void {
    if (!underway.has(name)) underway.set(name, lookUp(name, true));
  }

  return {
    known,
    async resolve(host, signal) {
      signal?.throwIfAborted();
      const kept = known(host);
      if (kept !== undefined) return kept;
      const name = host.toLowerCase();
      let pending = underway.get(name);
      if (pending === undefined) {
        pending = lookUp(name);
        underway.set(name, pending);
      }
      return { addresses: addressesOf(await unlessAborted(pending, signal)), cached: false };
    },
  };
}

/** What needs no query: IP literals, and localhost, which RFC 6761 section 6.3 keeps from DNS. */
function withoutQuery(host: string, families: readonly (4 | 6)[]): readonly ResolvedAddress[] | undefined {
  const ip = parseIp(host);
  if (ip !== undefined) return [{ address: host, family: ip.family }];
  if (!/^(.+\.)?localhost$/i.test(host)) return undefined;
  return families.map((family) => ({ address: family === 4 ? "127.0.0.1" : "::1", family }));
}

/** c-ares reads escapes in names, and some resolvers read `0x7f.1` as an address: neither is let through. */
export function isDnsName(name: string): boolean {
  const isName =
    name.length <= 253 &&
    name.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));
  return isName && !/(^|\.)([0-9]+|0x[0-9a-f]*)$/.test(name);
}

function checkName(name: string): void {
  if (!isDnsName(name)) {
    throw new RelayError(
      "dns_failed",
      `${JSON.stringify(name.slice(0, 80))} is neither a DNS name nor an address`,
    );
  }
}

function addressesOf({ addresses, failure }: DnsEntry): readonly ResolvedAddress[] {
  if (failure !== undefined) throw new RelayError(failure.code, failure.detail, { cause: failure.cause });
  return addresses;
}

/** Lets one waiter go without ending what others wait for. */
export async function unlessAborted<T>(promise: Promise<T>, signal: Cancel | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason!);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort!);
  }
}
