import { base64url } from "jose";
import type { ScopeClaims } from "../protocol/claims.ts";

/** A handle as the registry stores it: what it stands for, and never itself. */
export interface HandleRecord {
  /** By which it is revoked. */
  readonly id: string;
  /** The scope token's claims. */
  readonly claims: ScopeClaims;
  /** RFC 7638 thumbprint of the client's key that signed the token: the handle is good for as long as the client has it. */
  readonly key: string;
}

const HANDLE_PREFIX = "hf_";

/** 192 bits. */
const HANDLE_BYTES = 24;

/** A fresh handle, of 35 characters: `isHandle` knows its form. */
export function newHandle(): string {
  return HANDLE_PREFIX + base64url.encode(crypto.getRandomValues(new Uint8Array(HANDLE_BYTES)));
}

/** SHA-256 in base64url: what a handle is stored and looked up by. The look-up's time tells nothing of the handle. */
export async function hashOf(handle: string): Promise<string> {
  return base64url.encode(
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(handle))),
  );
}
