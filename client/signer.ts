import { decodeProtectedHeader } from "jose";
import type { RequestClaims, ScopeClaims } from "../protocol/claims.ts";
import { type ErrorCode, isRelayError, RelayError } from "../protocol/errors.ts";
import { parseRelayUrl, type SigningKey } from "../protocol/keys.ts";
import { signToken } from "../protocol/tokens.ts";
import { Certificates } from "./certificates.ts";
import { ownKey } from "./own-key.ts";
import { CERTIFICATE_KEEPERS_MAX, SCOPE_SHORTFALL_SECONDS } from "./limits.ts";
import type { IdentityOptions } from "./platforms/options.ts";
import type { Fetch } from "./wire.ts";

/** Signs a request token. */
export type SignRequest = (claims: RequestClaims) => Promise<string>;

/** Who a client is, and what it signs with: the key in its URL, or a fresh one under a certificate that the edge gave for its platform's token. */
export interface ClientSigner {
  /** The edge's origin. */
  readonly edge: string;
  readonly clientId: string;
  /** Rejects with a RelayError where the key can't be read, or no certificate can be had. */
  readonly sign: SignRequest;
  /** The same for a scope token, which ends with its certificate at the latest. */
  readonly signScope: (claims: ScopeClaims) => Promise<string>;
  /**
   * Whether the edge does not take the certificate that this token was signed under, so that the same, signed anew, may well
   * succeed: the next one is signed under another.
   */
  readonly refused: (token: string, error: unknown) => boolean;
  /** The client's certificates; undefined where it has a key of its own. */
  readonly certificates: Certificates | undefined;
  /** Tells for people what it signs with, without asking anybody. Rejects where that can be seen to be nothing. */
  readonly describe: () => Promise<string>;
}

/** What a client may have of its own. */
export interface SignerOptions extends IdentityOptions {
  /** In place of the global one, for getting certificates. */
  readonly fetch?: Fetch | undefined;
  /** Milliseconds since 1970. Default: `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** What the edge says to a token whose certificate it does not take, as after a change of its key or of the client's rules. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  "certificate_invalid",
  "certificate_expired",
  "token_signature",
]);

/** The certificates of clients that have nothing of their own: an app may make a client for each of its requests. */
const shared = new Map<string, Certificates>();

/**
 * Makes what signs for a client. No key is read, and nothing is asked, before the first token.
 *
 * @throws RelayError `request_invalid` where the URL is not valid
 */
export function createSigner(relayUrl: string | undefined, options: SignerOptions = {}): ClientSigner {
  const { edge, clientId, privateKey } = parseRelayUrl(relayUrl);
  if (privateKey !== undefined) return keySigner({ edge, clientId }, privateKey);
  const certificates = certificatesFor({ edge, clientId }, options);
  return {
    edge,
    clientId,
    certificates,
    sign: async (claims) => signToken("request", claims, await certificates.get()),
    signScope: async (claims) => {
      const certificate = await certificates.get(claims.exp);
      return signToken("scope", withinCertificate(claims, certificate.exp), certificate);
    },
    refused: (token, error) => {
      if (!isRelayError(error) || error.reached !== "no" || !REFUSALS.has(error.code)) return false;
      certificates.drop(decodeProtectedHeader(token)["certificate"] as string);
      return true;
    },
    describe: async () => `keyless, by ${certificates.source()}`,
  };
}

/**
 * Makes an attempt at something that a request token is signed for, and one more, signed anew, where the edge does not take the
 * certificate of the first.
 *
 * @param mayRepeat whether there can be a second one
 */
export async function attempted<T>(
  signer: Pick<ClientSigner, "sign" | "refused">,
  attempt: (sign: SignRequest) => Promise<T>,
  mayRepeat = true,
): Promise<T> {
  let token: string | undefined;
  const sign: SignRequest = async (claims) => {
    token = await signer.sign(claims);
    return token;
  };
  try {
    return await attempt(sign);
  } catch (error) {
    if (token === undefined || !signer.refused(token, error) || !mayRepeat) throw error;
    return attempt(signer.sign);
  }
}

/**
 * The claims of a scope token that ends with its certificate: pure.
 *
 * @param exp of the certificate
 * @throws RelayError `token_lifetime` where it is to live longer, but for what getting the certificate took
 */
export function withinCertificate(claims: ScopeClaims, exp: number): ScopeClaims {
  if (claims.exp - exp <= SCOPE_SHORTFALL_SECONDS) return { ...claims, exp: Math.min(claims.exp, exp) };
  throw new RelayError(
    "token_lifetime",
    `without a private key in HOLDFAST_URL a scope token lives no longer than the certificate that it is signed under: ${exp - claims.iat} s now, and not ${claims.exp - claims.iat} s. Ask for less, or register a key`,
  );
}

function keySigner(who: Pick<ClientSigner, "edge" | "clientId">, privateKey: string): ClientSigner {
  // The key is kept and not the promise of it: workerd does not let one request wait for what another began.
  let imported: SigningKey | undefined;
  const key = async () => (imported ??= await ownKey(privateKey));
  return {
    ...who,
    certificates: undefined,
    sign: async (claims) => signToken("request", claims, await key()),
    signScope: async (claims) => signToken("scope", claims, await key()),
    refused: () => false,
    describe: async () => `signing with ${(await key()).alg}`,
  };
}

function certificatesFor(
  { edge, clientId }: Pick<ClientSigner, "edge" | "clientId">,
  { identityToken, fetch, now }: SignerOptions,
): Certificates {
  const make = () =>
    new Certificates({
      edge,
      clientId,
      identityToken,
      underlying: () => fetch ?? globalThis.fetch,
      now: now ?? Date.now,
    });
  if (identityToken !== undefined || fetch !== undefined || now !== undefined) return make();
  const name = `${clientId}@${edge}`;
  const known = shared.get(name) ?? make();
  shared.delete(name);
  shared.set(name, known);
  // The one that was asked for longest ago.
  if (shared.size > CERTIFICATE_KEEPERS_MAX) shared.delete(shared.keys().next().value!);
  return known;
}
