import { keepNewest } from "./keep-newest.ts";
import { PROVEN_TOKEN_MAX_BYTES, PROVEN_TOKENS_MAX } from "./limits.ts";

/**
 * Tokens good for many requests whose signature an isolate has proven, so that each costs it once. It says that a key signed these
 * very bytes, which stays true, and nothing else: whether the key still stands for its client, the times and revocations are
 * looked at with each request. It is bounded: the oldest is forgotten.
 *
 * @example if (!proven.has(token, thumbprint)) { await verifySignature(…); proven.add(token, thumbprint); }
 */
export class ProvenTokens {
  readonly #signers = new Map<string, unknown>();
  readonly #max: number;

  constructor(max: number = PROVEN_TOKENS_MAX) {
    this.#max = max;
  }

  /**
   * Whether this key has signed this token.
   * @param signer the key's thumbprint, or what else is the same only where the key is
   */
  has(token: string, signer: unknown): boolean {
    const known = this.#signers.get(token);
    return known !== undefined && known === signer;
  }

  add(token: string, signer: unknown): void {
    if (token.length <= PROVEN_TOKEN_MAX_BYTES) keepNewest(this.#signers, token, signer, this.#max);
  }
}
