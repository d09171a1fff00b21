/** An isolate uses a client's record, or the fact that there is none, for at most this long. */
export const REGISTRY_CACHE_MS = 10_000;

/** How many clients an isolate remembers at once; strangers can name as many as they like. */
export const REGISTRY_CACHE_ENTRIES = 5_000;

/** The largest body of an administrative call. */
export const ADMIN_BODY_MAX_BYTES = 65_536;
