import type { Accepted } from "../../protocol/deliveries.ts";
import { RelayError } from "../../protocol/errors.ts";
import { BACKLOG_RETRY_SECONDS } from "../limits.ts";
import type { Refusal } from "./deliveries-object.ts";

/**
 * What a store says of what it was handed.
 * @throws RelayError `delivery_conflict`, `backlog_full`
 */
export function acceptedOr(answer: Accepted | Refusal): Accepted {
  if ("id" in answer) return answer;
  if (answer.status !== "conflict") throw full();
  throw new RelayError("delivery_conflict", "the key is that of a request that differs from this one");
}

/** A store that takes no more. */
export function full(): RelayError {
  return new RelayError("backlog_full", "the store takes no more at present", {
    retryAfter: BACKLOG_RETRY_SECONDS,
  });
}
