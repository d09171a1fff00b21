import { hash } from "node:crypto";
import { checkScopeClaims, type ScopeClaims } from "../../protocol/claims.ts";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import { isHandle } from "../../protocol/handles.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { TOKEN_MAX_BYTES } from "../../protocol/limits.ts";
import { readBearer } from "../../protocol/tokens.ts";
import type { ProxyUser } from "./authorizer.ts";
import { Lately } from "./lately.ts";
import { PROXY_KNOWN_MAX, PROXY_KNOWN_MS } from "./limits.ts";

/** A credential that has the right form; nothing of it is proven. */
export interface Credential {
  /**
   * SHA-256 of user and credential in base64url: what a node remembers of them. A look-up by it tells nothing of the
   * credential by its time.
   */
  readonly id: string;
  /** The client that it must turn out to be; undefined: a handle that came alone. */
  readonly sub: string | undefined;
  readonly kind: "token" | "handle";
  /** A token's times, in seconds since 1970. */
  readonly from?: number;
  readonly until?: number;
}

/** What a node knows when it looks at a credential. */
export interface CredentialContext {
  /** The origin of this node's edge. */
  readonly edge: string;
  /** Seconds since 1970. */
  readonly now: number;
}

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Judges what can be judged without the edge: a stranger's guesses end here.
 *
 * @throws RelayError `proxy_credentials_invalid`, and for a token what the edge would refuse it with: `token_malformed`,
 *   `token_type`, `token_audience`, `token_act`, `token_expired`, `token_premature`, `token_lifetime`. It holds nothing of
 *   the credential, and no cause
 */
export function checkCredential(
  { user, credential }: Pick<ProxyUser, "user" | "credential">,
  context: CredentialContext,
  idOf: () => string = () => idOfCredential(user, credential),
): Credential {
  if (user !== undefined && !CLIENT_ID.test(user)) throw invalid("the user is no client's id");
  if (isHandle(credential)) return { id: idOf(), sub: user, kind: "handle" };
  const { iss, iat, exp } = claimsOf(credential, context);
  if (user !== undefined && user !== iss) throw invalid("the token is another client's than the user");
  return { id: idOf(), sub: iss, kind: "token", from: iat, until: exp };
}

/** Neither an id nor a credential holds a line's end, so that no two pairs are the same text. */
function idOfCredential(user: string | undefined, credential: string): string {
  return hash("sha256", `${user ?? ""}\n${credential}`, "base64url");
}

/**
 * Judges credentials as `checkCredential` does, and those that came before by their hash alone: most come again and again, and to take a
 * token apart costs a fifth of opening a tunnel.
 */
export class CredentialForms {
  readonly #edge: string;
  readonly #known = new Lately<Credential>({ max: PROXY_KNOWN_MAX, ms: PROXY_KNOWN_MS });

  /** @param edge the origin of this node's edge */
  constructor(edge: string) {
    this.#edge = edge;
  }

  /**
   * @param nowMs milliseconds since 1970
   * @throws RelayError as `checkCredential`
   */
  check(user: Pick<ProxyUser, "user" | "credential">, nowMs: number): Credential {
    const now = Math.floor(nowMs / 1_000);
    const id = idOfCredential(user.user, user.credential);
    const known = this.#known.get(id, nowMs);
    if (known !== undefined && this.#stands(known, user.user, now)) return known;
    const credential = checkCredential(user, { edge: this.#edge, now }, () => id);
    if (credential.kind === "token") this.#known.set(credential.id, credential, nowMs);
    return credential;
  }

  /** At its times' edges, where clocks may differ, it is looked at as at first; and so is a user of no name, whose hash is that of none. */
  #stands({ sub, from, until }: Credential, user: string | undefined, now: number): boolean {
    return (user === undefined || user === sub) && from! <= now && now < until!;
  }
}

function claimsOf(credential: string, { edge, now }: CredentialContext): ScopeClaims {
  if (credential.length <= TOKEN_MAX_BYTES && !COMPACT_JWS.test(credential)) {
    throw invalid("the password is neither a token nor a handle");
  }
  try {
    const { claims } = readBearer("scope", `Bearer ${credential}`);
    // How long it may live is the client's own limit, which the edge knows.
    return checkScopeClaims(claims, edge, now, "proxy", Number.MAX_SAFE_INTEGER);
  } catch (error) {
    // A parser's error quotes what it read.
    if (isRelayError(error)) throw new RelayError(error.code, error.detail);
    throw invalid("the password can't be read");
  }
}

function invalid(why: string): RelayError {
  return new RelayError("proxy_credentials_invalid", why);
}
