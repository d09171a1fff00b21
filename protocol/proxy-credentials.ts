/** What whoever uses a proxy says of itself. */
export interface UserAndPassword {
  readonly user: string;
  readonly password: string;
}

const UTF8 = new TextDecoder();

/** Reads a value of `Proxy-Authorization` with the scheme Basic (RFC 7617). Undefined: it is none. */
export function basicCredentials(value: string | undefined): UserAndPassword | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(value ?? "")?.[1];
  if (encoded === undefined) return undefined;
  let text: string;
  try {
    const characters = atob(encoded);
    const bytes = new Uint8Array(characters.length);
    // Ten times as fast as a function for each, and a token has a thousand.
    for (let at = 0; at < bytes.length; at++) bytes[at] = characters.charCodeAt(at);
    text = UTF8.decode(bytes);
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
