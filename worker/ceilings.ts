import { RelayError } from "../protocol/errors.ts";
import type { Client } from "./clients.ts";
import { CEILING_SECONDS } from "./limits.ts";
import { checkQuota } from "./quota.ts";

/** A rate limit of the platform's: counted by location, for one period that is fixed when the worker is deployed. */
export interface Ceiling {
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>;
}

/**
 * Whether a key is over a ceiling. Where there is none, as in a workerd of one's own, nothing is; nor where it can't be
 * asked: it stands beside the limits that the nodes hold, so that its failure lets more through, but not everything.
 */
export async function isOver(ceiling: Ceiling | undefined, key: string): Promise<boolean> {
  if (ceiling === undefined) return false;
  try {
    return !(await ceiling.limit({ key })).success;
  } catch (error) {
    console.error("a rate limit binding failed", error);
    return false;
  }
}

/**
 * Holds a client to its quota, and to the platform's coarse ceiling.
 * @throws RelayError `quota_exceeded`, `rate_limited`
 */
export async function holdToCeiling(
  { id, quota }: Client,
  { CLIENT_CEILING }: { readonly CLIENT_CEILING?: Ceiling },
): Promise<void> {
  checkQuota(id, quota, Date.now());
  if (await isOver(CLIENT_CEILING, id)) {
    throw new RelayError("rate_limited", `${id} is over the edge's own ceiling`, {
      retryAfter: CEILING_SECONDS,
    });
  }
}
