import { RelayError } from "../../protocol/errors.ts";
import { type BucketSize, TokenBucket } from "../../protocol/token-bucket.ts";
import { keepNewest } from "../keep-newest.ts";
import { REGISTRY_CACHE_ENTRIES } from "../limits.ts";
import type { Route } from "./route.ts";

/** How often each route is called, as one isolate knows it. Times are milliseconds since 1970. */
export class RouteRates {
  readonly #buckets = new Map<string, TokenBucket>();

  /**
   * Counts a call.
   * @throws RelayError `rate_limited`
   */
  take({ id, requestsPerSecond }: Pick<Route, "id" | "requestsPerSecond">, now: number): void {
    const size: BucketSize = { rate: requestsPerSecond, burst: Math.max(1, requestsPerSecond) };
    const bucket = this.#buckets.get(id) ?? new TokenBucket(size, now);
    // What was not called for long is the first to be forgotten.
    keepNewest(this.#buckets, id, bucket, REGISTRY_CACHE_ENTRIES);
    bucket.resize(size, now);
    if (bucket.take(1, now)) return;
    throw new RelayError(
      "rate_limited",
      `the route ${id} is called more than ${requestsPerSecond} times a second`,
      {
        retryAfter: Math.ceil(bucket.waitMs(1, now) / 1_000),
      },
    );
  }
}
