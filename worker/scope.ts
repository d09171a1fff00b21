import { RelayError } from "../protocol/errors.ts";
import { CLOCK_LEEWAY_SECONDS, SCOPE_TOKEN_SECONDS } from "../protocol/limits.ts";
import { checkScopeClaims, type ScopeAct, type ScopeClaims } from "../protocol/claims.ts";
import { isHandle } from "../protocol/handles.ts";
import { readBearer } from "../protocol/tokens.ts";
import type { Client } from "./clients.ts";
import type { Edge, Env } from "./edge.ts";
import { hashOf } from "./handles.ts";
import { proveSigner, type Signer } from "./signers.ts";

/** A proven scope: who may do what, until when. */
export interface Scope extends Signer {
  readonly client: Client;
  readonly claims: ScopeClaims;
  /** The id of the handle that was shown, or the scope token's own. */
  readonly cred: string;
}

/**
 * Proves a credential.
 *
 * @param now seconds since 1970
 * @param admit as `atSendersCost` gives it
 * @throws RelayError any of the token codes, those of a certificate, `token_revoked`, `client_unknown`, `handle_unknown`,
 *   `registry_unavailable`
 */
type Prove<Act = ScopeAct> = (
  credential: string,
  act: Act,
  edge: Edge,
  env: Env,
  now: number,
  admit: (isKnown: boolean) => void,
) => Promise<Scope>;

/** A scope token, or the handle that stands for one. */
export const proveScope: Prove = (credential, ...rest) =>
  (isHandle(credential) ? proveHandle : proveScopeToken)(credential, ...rest);

/** A scope token alone; with several acts it is one for any of their doors. */
export const proveScopeToken: Prove<ScopeAct | readonly ScopeAct[]> = async (
  token,
  act,
  edge,
  env,
  now,
  admit,
) => {
  const unverified = readBearer("scope", `Bearer ${token}`);
  const { origin } = edge.config;
  // How long it may live is the client's own limit, which takes a look-up.
  const claims = checkScopeClaims(unverified.claims, origin, now, act, Number.MAX_SAFE_INTEGER);
  admit(edge.knows(claims.iss));
  const client = await edge.client(claims.iss, env, now * 1_000);
  const signer = await proveSigner(unverified, client, edge, now, edge.provenTokens);
  await edge.refuseRevoked(claims, env, now * 1_000);
  return { client, claims, ...signer, cred: claims.jti };
};

const proveHandle: Prove = async (handle, act, edge, env, now, admit) => {
  const hash = await hashOf(handle);
  admit(edge.knowsHandle(hash));
  const { id: cred, claims, key } = await edge.handle(hash, env, now * 1_000);
  if (now >= claims.exp + CLOCK_LEEWAY_SECONDS) {
    throw new RelayError("handle_unknown", "the scope token that it stands for has expired");
  }
  const client = await edge.client(claims.iss, env, now * 1_000);
  if (!client.thumbprints.includes(key)) {
    throw new RelayError(
      "handle_unknown",
      "the key that its scope token was signed with is not registered any more",
    );
  }
  const { origin } = edge.config;
  const checked = checkScopeClaims({ ...claims }, origin, now, act, Number.MAX_SAFE_INTEGER);
  return { client, key, certifiedUntil: undefined, rule: undefined, cred, claims: checked };
};

/**
 * Holds a scope's lifetime to what its client's record and its key's certificate admit. It comes after the proof: what a proven client does wrong is
 * charged to nobody.
 *
 * @throws RelayError `token_lifetime`
 */
export function checkScopeLifetime({ client, claims, certifiedUntil }: Scope): void {
  const { scopeSeconds = SCOPE_TOKEN_SECONDS } = client.limits;
  if (claims.exp - claims.iat > scopeSeconds) {
    throw new RelayError(
      "token_lifetime",
      `a scope token of ${client.id} lives at most ${scopeSeconds} seconds`,
    );
  }
  if (certifiedUntil !== undefined && claims.exp > certifiedUntil) {
    throw new RelayError(
      "token_lifetime",
      `a scope token ends with its key's certificate, ${claims.exp - certifiedUntil} seconds before this one`,
    );
  }
}
