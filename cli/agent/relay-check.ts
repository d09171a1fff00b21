import { isRelayError, type RelayError } from "../../client/index.ts";
import { type ErrorCode, ERRORS } from "../../protocol/errors.ts";
import { RELAY_CHECK_MS } from "./limits.ts";
import type { Opener } from "../../client/node/opener.ts";
import { asRelayError } from "./relay-errors.ts";

/** What the relay says to this client's token. */
export type RelayVerdict =
  | { readonly kind: "accepted" }
  /** The token is not taken, and no other one signed by this key will be. */
  | { readonly kind: "refused"; readonly error: RelayError }
  /** Nobody knows: the relay was not reached, or is in trouble. */
  | { readonly kind: "unreachable"; readonly error: RelayError };

/** RFC 6761 section 6.4: no host has this name, and no client's `allow` names port 1 of it. */
const NOWHERE = { host: "holdfast-check.invalid", port: 1 };

/** Answers that are given to clients alone whose token was taken. */
const TAKEN: ReadonlySet<ErrorCode> = new Set([
  "target_not_allowed",
  "address_refused",
  "dns_failed",
  "dns_timeout",
  "connect_refused",
  "connect_failed",
  "connect_timeout",
  "rate_limited",
  "concurrency_limited",
  "quota_exceeded",
]);

/** 401s that speak of one use of a token, or of what is between edge and node, and not of the client. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  "token_replayed",
  "grant_missing",
  "grant_invalid",
  "grant_expired",
]);

/** What is no 401, and says the same of a client that a platform vouches for. */
const REFUSED: ReadonlySet<ErrorCode> = new Set(["platform_token_refused"]);

/** Whether an error is the relay's refusal of the client itself. */
export function isRefusal(error: unknown): boolean {
  if (!isRelayError(error)) return false;
  return (ERRORS[error.code].status === 401 && !PASSING.has(error.code)) || REFUSED.has(error.code);
}

/** What an answer to a request for nowhere says of the token. */
export function verdictOf(error: RelayError): RelayVerdict {
  if (isRefusal(error)) return { kind: "refused", error };
  return TAKEN.has(error.code) ? { kind: "accepted" } : { kind: "unreachable", error };
}

/**
 * Asks the relay whether it takes this client's token, by asking for a stream to nowhere: who is asking is judged before
 * where to, so that the refusal of the target is a yes. Nothing is dialled.
 */
export async function checkRelay(open: Opener, stopped?: AbortSignal): Promise<RelayVerdict> {
  const late = AbortSignal.timeout(RELAY_CHECK_MS);
  const signal = stopped === undefined ? late : AbortSignal.any([late, stopped]);
  try {
    const connection = await open({ ...NOWHERE, signal });
    connection.on("error", () => {}).destroy();
    return { kind: "accepted" };
  } catch (error) {
    stopped?.throwIfAborted();
    return verdictOf(asRelayError(error, "edge_unreachable"));
  }
}
