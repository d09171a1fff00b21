import { isAllowed, parseAllowedTarget, type TargetUrl } from "./targets.ts";

/** What was asked for under a client whose list is not enforced. Times are seconds since 1970. */
export interface ObservedTarget {
  /** `GET https://api.bank.com`, `tcp://db.example.com:5432`; without a method where none is seen, as of a proxy's requests. */
  readonly entry: string;
  /** Of its URLs, as the paths of an `allow` entry: `/v1/*`, `/health`. */
  readonly paths: readonly string[];
  /** There were others, which are not kept. */
  readonly more_paths: boolean;
  readonly first: number;
  readonly last: number;
  /** About how often. */
  readonly count: number;
  /** Whether the client's list would have refused it, when it was last seen. */
  readonly would_deny: boolean;
}

/** All that is kept of one client. */
export interface Observed {
  readonly client: string;
  /** How many entries are kept no more, since there were too many. */
  readonly dropped: number;
  readonly entries: readonly ObservedTarget[];
}

/**
 * A path as an `allow` entry could have it: its first segment with all below, or the whole of a path with one segment. Undefined
 * where there is none that admits it, or where the segment may be a secret, as it is in a webhook's or a bot's URL: only what looks
 * like words is kept.
 *
 * @example pathEntryOf(parseTargetUrl("https://api.bank.com/v1/accounts?id=7")) // "/v1/*"
 */
export function pathEntryOf(url: TargetUrl): string | undefined {
  const [, segment, below] = /^\/([^/?]*)(\/)?/.exec(url.path)!;
  if (segment!.length > SEGMENT_MAX || !WORDS.test(segment!)) return undefined;
  const path = `/${segment!}${below === undefined ? "" : "/*"}`;
  return isAllowed([parseAllowedTarget(`${url.origin}${path}`)], "GET", url) ? path : undefined;
}

const SEGMENT_MAX = 24;

/** Words in small letters, with a capital at most at their beginning, and up to three digits at the end: `v1`, `open-api`, `Prod`. */
const WORDS = /^[A-Z]?[a-z]+(?:[._-][A-Z]?[a-z]+)*[0-9]{0,3}$/;
