import { CLOCK_LEEWAY_SECONDS, SCOPE_TOKEN_SECONDS } from "../protocol/limits.ts";
import type { ClientLimits } from "./clients.ts";
import { CLIENT_STREAM_LIFETIME_SECONDS, REVOCATION_SECONDS } from "./limits.ts";

/** For how long it has to be known that something was revoked. Times are seconds since 1970. */

/** A scope token that is to be good no more. */
export interface RevokedToken {
  readonly client: string;
  readonly jti: string;
  /** Where it is known. */
  readonly exp?: number | undefined;
}

/**
 * Until when a node may still carry what was begun before `at`.
 * @param limits the client's, before and after
 */
export function rememberUntil(at: number, limits: readonly (ClientLimits | undefined)[]): number {
  const lifetimes = limits.map((one) => one?.streamLifetimeSeconds ?? CLIENT_STREAM_LIFETIME_SECONDS);
  return later(at, Math.max(REVOCATION_SECONDS, ...lifetimes));
}

/**
 * The same for a scope token, which is refused until it would have expired: null for one whose end isn't known, for good. What
 * stands in a token is believed only where it says more than the client's limit, since nobody has proven it.
 */
export function tokenRememberedUntil(
  { exp }: RevokedToken,
  at: number,
  limits: ClientLimits | undefined,
): number | null {
  if (exp === undefined) return null;
  const longest = later(at, limits?.scopeSeconds ?? SCOPE_TOKEN_SECONDS);
  return Math.max(exp, longest, rememberUntil(at, [limits])) + CLOCK_LEEWAY_SECONDS;
}

/** A limit may be any number above 0. */
function later(at: number, seconds: number): number {
  return Math.min(at + Math.ceil(seconds), Number.MAX_SAFE_INTEGER - CLOCK_LEEWAY_SECONDS);
}
