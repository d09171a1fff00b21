/** An isolate uses a client's record, or the fact that there is none, for at most this long. */
export const REGISTRY_CACHE_MS = 10_000;

/** How many clients an isolate remembers at once; strangers can name as many as they like. */
export const REGISTRY_CACHE_ENTRIES = 5_000;

/** The largest body of an administrative call. */
export const ADMIN_BODY_MAX_BYTES = 65_536;

/** What a client may use of its pool where its record doesn't say; bytes are not limited then. */
export const CLIENT_REQUESTS_PER_SECOND = 5_000;
export const CLIENT_CONCURRENT = 2_000;

/** However many nodes a limit is split over, each one lets this many requests per second through. */
export const CLIENT_RATE_MIN = 0.1;

/** How many tokens from one address may fail at once, and how many more each second. */
export const FAILED_TOKENS_BURST = 20;
export const FAILED_TOKENS_PER_SECOND = 1;

/** What failed at the same moment is charged, too, up to this debt: a minute later its address begins anew. */
export const FAILED_TOKENS_DEBT_MAX = 60;

/** Addresses whose failures an isolate remembers. */
export const FAILED_SENDERS_MAX = 10_000;

/** The period of the platform's ceilings, as wrangler.toml has it. */
export const CEILING_SECONDS = 10;
