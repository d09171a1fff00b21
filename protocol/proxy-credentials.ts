/** What whoever uses a proxy says of itself. */
export interface UserAndPassword {
  readonly user: string;
  readonly password: string;
}

const UTF8 = new TextDecoder();

/** Of these, each byte is its character. */
const ASCII = /^[\0-\x7f]*$/;

/** Reads a value of `Proxy-Authorization` with the scheme Basic (RFC 7617). Undefined: it is none. */
export function basicCredentials(value: string | undefined): UserAndPassword | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(value ?? "")?.[1];
  if (encoded === undefined) return undefined;
  let text: string;
  try {
    const characters = atob(encoded);
    if (ASCII.test(characters)) return split(characters);
    const bytes = new Uint8Array(characters.length);
    // Ten times as fast as a function for each, and a token has a thousand.
    for (let at = 0; at < bytes.length; at++) bytes[at] = characters.charCodeAt(at);
    text = UTF8.decode(bytes);
  } catch {
    return undefined;
  }
  return split(text);
}

function split(text: string): UserAndPassword | undefined {
  const colon = text.indexOf(":");
  return colon === -1 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Reads a value of `Proxy-Authorization` with the scheme Bearer (RFC 6750). Undefined: it is none. */
export function bearerCredentials(value: string | undefined): string | undefined {
  return /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(value ?? "")?.[1];
}
