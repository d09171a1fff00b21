import { type ErrorCode, isRelayError } from "./errors.ts";

/** RFC 1928 section 6. */
export const SOCKS_REPLY = {
  succeeded: 0,
  generalFailure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  expired: 6,
  commandNotSupported: 7,
  addressTypeNotSupported: 8,
} as const;

const SOCKS_REPLIES: Partial<Record<ErrorCode, number>> = {
  dns_failed: SOCKS_REPLY.hostUnreachable,
  dns_timeout: SOCKS_REPLY.hostUnreachable,
  connect_refused: SOCKS_REPLY.refused,
  connect_timeout: SOCKS_REPLY.expired,
  connect_failed: SOCKS_REPLY.networkUnreachable,
  // Edge and node disagree: nothing that the user said.
  grant_missing: SOCKS_REPLY.generalFailure,
  grant_invalid: SOCKS_REPLY.generalFailure,
  grant_expired: SOCKS_REPLY.generalFailure,
  grant_node: SOCKS_REPLY.generalFailure,
};

/** What is refused for who asks, or for what is asked for: no other try mends it. */
const NOT_ALLOWED: ReadonlySet<number> = new Set([401, 403, 407]);

/**
 * How a SOCKS proxy tells that it could not connect. Whose credentials are refused hears the same as whose target is;
 * what the relay itself could not do (limits, a node that drains, an edge that can't be asked) is a general failure.
 */
export function socksReply(error: unknown): number {
  if (!isRelayError(error)) return SOCKS_REPLY.generalFailure;
  const reply = SOCKS_REPLIES[error.code];
  if (reply !== undefined) return reply;
  return NOT_ALLOWED.has(error.status) ? SOCKS_REPLY.notAllowed : SOCKS_REPLY.generalFailure;
}
