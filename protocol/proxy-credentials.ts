import { CLIENT_ID } from "./keys.ts";
import { TOKEN_MAX_BYTES } from "./limits.ts";

/** What whoever uses a proxy says of itself. */
export interface UserAndPassword {
  readonly user: string;
  readonly password: string;
}

/** Reads a value of `Proxy-Authorization` with the scheme Basic (RFC 7617). Undefined: it is none. */
export function basicCredentials(value: string | undefined): UserAndPassword | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(value ?? "")?.[1];
  if (encoded === undefined) return undefined;
  let text: string;
  try {
    text = new TextDecoder().decode(Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0)));
  } catch {
    return undefined;
  }
  const [, user, password] = /^([^:]*):(.*)$/s.exec(text) ?? [];
  return user === undefined || password === undefined ? undefined : { user, password };
}

/** Reads a value of `Proxy-Authorization` with the scheme Bearer (RFC 6750). Undefined: it is none. */
export function bearerCredentials(value: string | undefined): string | undefined {
  return /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(value ?? "")?.[1];
}

/** A handle, or a compact JWS. */
const CREDENTIAL = /^(?:[A-Za-z0-9_-]{1,64}|[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/;

/**
 * Whether these can be a client's id and its token or handle at all: nobody is asked about others.
 * @param user undefined: a bearer came, whose token names its client
 */
export function haveCredentialForm(user: string | undefined, credential: string): boolean {
  return (
    (user === undefined || CLIENT_ID.test(user)) &&
    credential.length <= TOKEN_MAX_BYTES &&
    CREDENTIAL.test(credential)
  );
}
