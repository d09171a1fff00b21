import { type Certificate, requestCertificate } from "./certificate.ts";
import {
  CERTIFICATE_COOLDOWN_MS,
  CERTIFICATE_MARGIN_MS,
  CERTIFICATE_RENEW_AT,
  CERTIFICATE_TURN_MS,
} from "./limits.ts";
import { askForIdentity, identitySource } from "./platforms/identity.ts";
import type { IdentityOptions } from "./platforms/options.ts";
import { SharedTask } from "./shared-task.ts";
import type { Fetch } from "./wire.ts";

/** Whose certificates, and how they are got. */
export interface CertificatesSettings extends IdentityOptions {
  readonly edge: string;
  readonly clientId: string;
  /** The fetch underneath, looked up at each call. */
  readonly underlying: () => Fetch;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * What is to be done about a certificate before it is used: pure, with the time passed in.
 *
 * - `use`: nothing.
 * - `renew`: it has lived two thirds of its life; it is used, and renewed beside that.
 * - `replace`: it is about to end; another one is got first, and where that fails it may be used.
 * - `over`: it is no longer good.
 */
export function careOf(
  { from, until }: Pick<Certificate, "from" | "until">,
  now: number,
): "use" | "renew" | "replace" | "over" {
  const life = until - from;
  if (now >= until) return "over";
  // Of a short one half of what is left then: otherwise each use would get another.
  const margin = Math.min(CERTIFICATE_MARGIN_MS, (life * (1 - CERTIFICATE_RENEW_AT)) / 2);
  if (until - now < margin) return "replace";
  return now - from >= life * CERTIFICATE_RENEW_AT ? "renew" : "use";
}

/** One client's certificates, one after the other: got at the first use, shared by all calls, renewed before they end. */
export class Certificates {
  readonly #settings: CertificatesSettings;
  readonly #fetching: SharedTask<Certificate>;
  #held: Certificate | undefined;
  /** When getting one last failed, milliseconds since 1970. */
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(settings: CertificatesSettings) {
    this.#settings = settings;
    this.#fetching = new SharedTask(CERTIFICATE_TURN_MS, settings.now);
  }

  /** Where the platform's token comes from, for people. @throws RelayError `platform_token_missing`, `request_invalid` */
  source(): string {
    return identitySource(this.#settings);
  }

  /**
   * A certificate that is good now.
   *
   * @param exp until when it had better be good, in seconds since 1970: one that ends before is replaced first
   * @throws RelayError of the platform's or the edge's, with `reached: no`
   */
  async get(exp?: number): Promise<Certificate> {
    const held = this.#held;
    if (held === undefined) return this.#fetch();
    const now = this.#settings.now();
    const care = careOf(held, now);
    if (care === "over" || (exp !== undefined && held.exp < exp)) return this.#fetch();
    const isCooling = now - this.#failedAt < CERTIFICATE_COOLDOWN_MS;
    if (care === "use" || this.#fetching.isRunning || isCooling) return held;
    if (care === "renew") {
      // Whether it succeeds shows at a later use.
      void this.#fetch().catch(() => {});
      return held;
    }
    try {
      return await this.#fetch();
    } catch (error) {
      if (this.#held === held && this.#settings.now() < held.until) return held;
      throw error;
    }
  }

  /** Drops this certificate, where it is still the one in use: the edge does not take it. */
  drop(certificate: string): void {
    if (this.#held?.certificate === certificate) this.#held = undefined;
  }

  #fetch(): Promise<Certificate> {
    return this.#fetching.run(async () => {
      const { edge, clientId, underlying, now } = this.#settings;
      try {
        const platformToken = await askForIdentity(edge, this.#settings);
        const ask = { edge, clientId, platformToken, underlying: underlying(), now };
        this.#held = await requestCertificate(ask);
        return this.#held;
      } catch (error) {
        this.#failedAt = now();
        throw error;
      }
    });
  }
}
