import { Mac } from "../mac.ts";
import { type Check, unsigned } from "./check.ts";
import { formParameters } from "./verifiers/twilio.ts";

/** A body that has come whole. */
export interface Whole {
  /** RFC 9530 member of it. */
  readonly digest: string;
  /** The body itself, where it is held. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
}

/**
 * Proves a call while its body passes.
 *
 * @example
 * const proof = await Proof.begin(check);
 * for await (const chunk of body) await proof.write(chunk);
 * await proof.end({ digest, bytes: undefined });
 */
export class Proof {
  readonly #check: Check;
  readonly #macs: readonly Mac[];

  private constructor(check: Check, macs: readonly Mac[]) {
    this.#check = check;
    this.#macs = macs;
  }

  static async begin(check: Check): Promise<Proof> {
    const macs = await Promise.all(check.macs.map(({ hash, key }) => Mac.begin(hash, key)));
    await Promise.all(macs.map((mac, n) => mac.write(check.macs[n]!.before)));
    return new Proof(check, macs);
  }

  /** Takes a piece of the body. */
  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#check.over === "body") await this.#feed(bytes);
  }

  /** @throws RelayError `hook_signature` */
  async end({ digest, bytes }: Whole): Promise<void> {
    if (this.#check.over === "parameters") await this.#feed(formParameters(bytes!));
    const macs = await Promise.all(this.#macs.map((mac) => mac.end()));
    // All are compared, whichever is the right one.
    let isProven = false;
    for (const mac of macs) {
      for (const signature of this.#check.signatures) isProven = areEqual(mac, signature) || isProven;
    }
    if (!isProven) throw unsigned("has no signature by a secret of the route's over what came");
    if (this.#check.digest !== undefined && this.#check.digest !== digest) {
      throw unsigned("has another body than the one that was signed");
    }
  }

  async #feed(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await Promise.all(this.#macs.map((mac) => mac.write(bytes)));
  }
}

/** In a time that tells nothing of where they differ. */
function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let n = 0; n < one.length; n++) difference |= one[n]! ^ other[n]!;
  return difference === 0;
}
