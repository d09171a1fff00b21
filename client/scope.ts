import { RelayError } from "../protocol/errors.ts";
import { SCOPE_ALLOW_MAX } from "../protocol/limits.ts";
import { parseRelayUrlTarget } from "../protocol/relay-urls.ts";
import { parseAllowedTarget } from "../protocol/targets.ts";
import { type ScopeAct, type ScopeClaims } from "../protocol/claims.ts";
import { newRequestId } from "../protocol/tokens.ts";
import type { IdentityOptions } from "./platforms/options.ts";
import { createSigner } from "./signer.ts";

/** What a scope token is to be good for. */
export interface ScopeOptions extends IdentityOptions {
  /** The door that takes it. */
  readonly act: ScopeAct;
  /**
   * Targets, 1 to 50, written as in a client's record: `tcp://db.example.com:5432`. With the act `url` they are one https origin
   * with one path at most: `https://api.bank.com/v1/*`, and where the path itself is meant too, that before it.
   */
  readonly allow: readonly string[];
  /** How long, in seconds; the edge admits what the client's record says, 90 days by default; without a private key at most 15 min. */
  readonly ttlSeconds: number;
  /** The one node, or the few, that may be used. Default: all in the client's pool. */
  readonly node?: string | readonly string[];
  /** The clock: milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/**
 * Signs a token for many connections, or requests, to a few targets: for software that can be given a URL and nothing else. Whoever has it
 * can use it until it expires or the client's key is removed.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`, or without the key
 * @throws RelayError `request_invalid` where the URL or an option is not valid; without a key `token_lifetime` where it can't live so
 *   long, and what certificates fail with
 * @example
 * const token = await createScopeToken(process.env.HOLDFAST_URL, {
 *   act: "stream",
 *   allow: ["tcp://db.example.com:5432"],
 *   ttlSeconds: 90 * 86_400,
 * });
 * neonConfig.wsProxy = (host, port) => `edge.example.com/stream/${token}?address=${host}:${port}`;
 */
export async function createScopeToken(url: string | undefined, options: ScopeOptions): Promise<string> {
  const { act, allow, ttlSeconds, node, now = Date.now } = options;
  const { edge, clientId, signScope } = createSigner(url, options);
  if (allow.length === 0 || allow.length > SCOPE_ALLOW_MAX) {
    throw new RelayError("request_invalid", `name 1 to ${SCOPE_ALLOW_MAX} targets`);
  }
  if (act === "url") parseRelayUrlTarget(allow);
  else for (const entry of allow) parseAllowedTarget(entry);
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds <= 0) {
    throw new RelayError("request_invalid", "ttlSeconds is no whole number above 0");
  }
  const iat = Math.floor(now() / 1_000);
  const claims: ScopeClaims = {
    iss: clientId,
    aud: edge,
    act,
    iat,
    exp: iat + ttlSeconds,
    jti: newRequestId(),
    allow,
    ...(node !== undefined && { node }),
  };
  return signScope(claims);
}
