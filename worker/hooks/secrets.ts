import { base64url } from "jose";
import type { SealedSecret, VerifierRecord } from "../routes.ts";
import type { Sealing } from "../sealing.ts";

/** Standard Webhooks: `whsec_`, and 24 to 64 bytes in base64. */
const STANDARD_PREFIX = "whsec_";
const STANDARD_MIN_BYTES = 24;
const STANDARD_MAX_BYTES = 64;

/** The longest secret of any other provider, in characters. */
const SECRET_MAX = 512;

/** How many are live at once: the current one and the next. */
export const SECRETS_MAX = 2;

/** What signs: a verifier's kind, or the route itself, by Standard Webhooks. */
export type SecretKind = Exclude<VerifierRecord["type"], "none">;

/** What is wrong with a secret, without a word of it; undefined where nothing is. */
export function secretProblem(kind: SecretKind, text: string): string | undefined {
  if (kind === "standard-webhooks") {
    return standardKey(text) === undefined
      ? `must be ${STANDARD_PREFIX} and ${STANDARD_MIN_BYTES} to ${STANDARD_MAX_BYTES} bytes in base64`
      : undefined;
  }
  return text.length >= 1 && text.length <= SECRET_MAX && text.isWellFormed()
    ? undefined
    : `must have 1 to ${SECRET_MAX} characters`;
}

/**
 * The bytes that a secret's HMAC is made with: those behind `whsec_` by Standard Webhooks, and all of its text anywhere else.
 * @throws Error that says nothing of the secret
 */
export function keyOf(kind: SecretKind, text: string): Uint8Array<ArrayBuffer> {
  const problem = secretProblem(kind, text);
  if (problem !== undefined) throw new Error(`a secret ${problem}`);
  return kind === "standard-webhooks" ? standardKey(text)! : Uint8Array.from(new TextEncoder().encode(text));
}

function standardKey(text: string): Uint8Array<ArrayBuffer> | undefined {
  const encoded = text.slice(STANDARD_PREFIX.length);
  if (!text.startsWith(STANDARD_PREFIX) || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
  return bytes.length >= STANDARD_MIN_BYTES && bytes.length <= STANDARD_MAX_BYTES ? bytes : undefined;
}

/** Where a route's secrets are sealed for. */
export function secretPlace(route: string): string {
  return `route ${route}`;
}

/** A secret as it is stored. */
export async function sealSecret(text: string, route: string, sealing: Sealing): Promise<SealedSecret> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return {
    sealed: await sealing.seal(text, secretPlace(route)),
    print: base64url.encode(new Uint8Array(hash)).slice(0, 12),
  };
}
