import { compactVerify } from "jose";
import { RelayError } from "../../protocol/errors.ts";
import { CLOCK_LEEWAY_SECONDS, TOKEN_MAX_BYTES } from "../../protocol/limits.ts";
import { decodeParts, isClaims, type TokenParts } from "../../protocol/tokens.ts";
import { ISSUER_TEXT_MAX, PLATFORM_TOKEN_MAX_SECONDS } from "../limits.ts";
import type { ProvenTokens } from "../proven-tokens.ts";
import type { IssuerKey } from "./issuer-documents.ts";

/** What stands in a platform's token before anything of it is proven. */
export interface UnprovenToken {
  readonly token: string;
  readonly iss: string;
  /** Which of its issuer's keys signed it. */
  readonly kid: string;
  /** Seconds since 1970. */
  readonly exp: number;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * Reads a platform's token: its size, its shape and its times. They are judged before anybody looks at whom the client
 * trusts, so that they tell nothing of it.
 *
 * @param now seconds since 1970
 * @throws RelayError `platform_token_invalid`, `token_expired`, `token_premature`
 */
export function readPlatformToken(token: string, now: number): UnprovenToken {
  const { header, claims } = decoded(token);
  const { kid, typ, b64 } = header;
  if (typeof kid !== "string" || kid === "" || kid.length > ISSUER_TEXT_MAX) {
    throw invalid("its header names no key (kid)");
  }
  // An access token or a logout token of the same issuer is no word on who its holder is (RFC 8725 section 3.11).
  if (b64 !== undefined || (typ !== undefined && !/^jwt$/i.test(typ))) throw invalid("its typ is not JWT");
  const { iss, sub, exp, iat, nbf } = claims;
  if (typeof iss !== "string" || typeof sub !== "string" || sub === "") {
    throw invalid("iss and sub are not both there");
  }
  if (!isTime(exp) || !isTime(iat) || (nbf !== undefined && !isTime(nbf))) {
    throw invalid("exp, iat and nbf are not seconds since 1970");
  }
  if (exp - iat > PLATFORM_TOKEN_MAX_SECONDS || exp < iat) {
    throw invalid(`exp must lie 0 to ${PLATFORM_TOKEN_MAX_SECONDS} seconds after iat`);
  }
  if (Math.max(iat, nbf ?? iat) > now + CLOCK_LEEWAY_SECONDS) {
    throw new RelayError("token_premature", "the platform's token is not good yet");
  }
  if (now >= exp + CLOCK_LEEWAY_SECONDS) {
    throw new RelayError("token_expired", `the platform's token ended ${Math.floor(now - exp)} s ago`);
  }
  return { token, iss, kid, exp, claims };
}

/**
 * Proves a platform's token by one of its issuer's keys, with the algorithm that the key fixes.
 * @param proven what was proven before
 * @throws RelayError `platform_token_invalid`
 */
export async function provePlatformToken(
  { token }: UnprovenToken,
  { key, algs }: IssuerKey,
  proven: ProvenTokens,
): Promise<void> {
  // The key itself tells which one it is: an issuer that changes what its kid stands for has another.
  if (proven.has(token, key)) return;
  try {
    await compactVerify(token, key, { algorithms: [...algs] });
  } catch {
    throw untrusted();
  }
  proven.add(token, key);
}

/** The one answer to whoever has no token of an issuer that the client trusts: it doesn't tell which ones those are. */
export function untrusted(): RelayError {
  return invalid("no issuer that the client trusts has signed it");
}

function decoded(token: string) {
  let parts: TokenParts;
  try {
    parts = decodeParts(token);
  } catch {
    // A parser's error quotes what it read.
    throw invalid(`it is no compact JWS of JSON, of at most ${TOKEN_MAX_BYTES} bytes`);
  }
  const { header, claims } = parts;
  if (!isClaims(claims)) throw invalid("its payload is no object");
  return { header, claims };
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function invalid(why: string): RelayError {
  return new RelayError("platform_token_invalid", `the platform's token is refused: ${why}`);
}
