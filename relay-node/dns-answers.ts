import type { DnsEntry } from "./dns-cache.ts";
import {
  DNS_ADDRESSES_MAX,
  DNS_NEGATIVE_TTL_SECONDS,
  DNS_PARTIAL_TTL_SECONDS,
  DNS_TTL_MAX_SECONDS,
  DNS_TTL_MIN_SECONDS,
} from "./limits.ts";

/** What one family's query brought: addresses, or c-ares' code for why there are none. */
export interface Answer {
  readonly family: 4 | 6;
  readonly records: readonly { readonly address: string; readonly ttl: number }[];
  readonly error?: { readonly code?: string };
}

/**
 * The name is there without an address of this family, or it is not there: both are answers, unlike a
 * failure.
 */
const DENIALS: ReadonlySet<string | undefined> = new Set(["ENODATA", "ENOTFOUND"]);

const MEANINGS: Readonly<Record<string, string>> = {
  ENOTFOUND: "the name does not exist (NXDOMAIN)",
  ENODATA: "the name has no address",
  ESERVFAIL: "the name server failed (SERVFAIL)",
  EREFUSED: "the name server refused the query (REFUSED)",
  ECONNREFUSED: "no name server could be reached",
};

/** Whether an answer says that there is nothing, which is no failure to answer. */
export function isDenial({ code }: { readonly code?: string | undefined }): boolean {
  return DENIALS.has(code);
}

/** What c-ares means by a code. */
export function meaningOf(code: string | undefined): string {
  return MEANINGS[code ?? ""] ?? `the look-up failed (${code ?? "no code"})`;
}

/** Turns the answers of both families into one verdict on the name, and says how long it holds. */
export function conclude(name: string, families: readonly (4 | 6)[], answers: readonly Answer[]): DnsEntry {
  const isComplete =
    answers.length === families.length &&
    answers.every(({ error }) => error === undefined || DENIALS.has(error.code));
  const records = families.flatMap((family) =>
    answers
      .filter((answer) => answer.family === family)
      .flatMap((answer) => answer.records.map((record) => ({ ...record, family }))),
  );
  if (records.length > DNS_ADDRESSES_MAX) {
    const detail = `${name} has ${records.length} addresses, more than ${DNS_ADDRESSES_MAX}`;
    return { addresses: [], failure: { code: "dns_failed", detail }, seconds: DNS_NEGATIVE_TTL_SECONDS };
  }
  if (records.length > 0) {
    const ttl = Math.min(
      ...records.map((record) => record.ttl),
      isComplete ? DNS_TTL_MAX_SECONDS : DNS_PARTIAL_TTL_SECONDS,
    );
    const addresses = records.map(({ address, family }) => ({ address, family }));
    return { addresses, seconds: Math.max(ttl, DNS_TTL_MIN_SECONDS) };
  }
  const errors = answers.flatMap(({ error }) => (error === undefined ? [] : [error]));
  const worst = errors.find(({ code }) => !DENIALS.has(code)) ?? errors[0];
  if (
    answers.length < families.length ||
    worst === undefined ||
    errors.some(({ code }) => code === "ETIMEOUT")
  ) {
    const failure = {
      code: "dns_timeout",
      detail: `${name}: no name server answered in time`,
      cause: worst,
    } as const;
    return { addresses: [], failure, seconds: 0 };
  }
  const detail = `${name}: ${meaningOf(worst.code)}`;
  const failure = { code: "dns_failed", detail, cause: worst } as const;
  return { addresses: [], failure, seconds: isComplete ? DNS_NEGATIVE_TTL_SECONDS : 0 };
}
