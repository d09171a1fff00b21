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
  target_not_allowed: SOCKS_REPLY.notAllowed,
  address_refused: SOCKS_REPLY.notAllowed,
  dns_failed: SOCKS_REPLY.hostUnreachable,
  dns_timeout: SOCKS_REPLY.hostUnreachable,
  connect_refused: SOCKS_REPLY.refused,
  connect_timeout: SOCKS_REPLY.expired,
  connect_failed: SOCKS_REPLY.networkUnreachable,
};

/** How a SOCKS proxy tells that it could not connect. */
export function socksReply(error: unknown): number {
  return (isRelayError(error) ? SOCKS_REPLIES[error.code] : undefined) ?? SOCKS_REPLY.generalFailure;
}
