import { DNS_WARM_LEAD, DNS_WARM_MAX_NAMES, DNS_WARM_SECONDS, DNS_WARM_TTL_MIN_SECONDS } from "./limits.ts";

interface Warm {
  usedAt: number;
  /** How long its last answer holds, in seconds. */
  seconds: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Names that were used lately, each with the moment at which it is to be looked up again: shortly before what is known of it runs out,
 * so that nobody waits for a name server. One that nobody uses any more is left alone, and one that holds for moments only, too.
 */
export class DnsWarmth {
  readonly #names = new Map<string, Warm>();
  readonly #renew: (name: string) => void;
  readonly #now: () => number;
  readonly #max: number;

  /**
   * @param renew looks a name up, and tells `holds` what came of it
   * @param now milliseconds, from any origin that does not jump
   */
  constructor(renew: (name: string) => void, now: () => number, max: number = DNS_WARM_MAX_NAMES) {
    this.#renew = renew;
    this.#now = now;
    this.#max = max;
  }

  /** Names that are kept warm. */
  get size(): number {
    return this.#names.size;
  }

  /** Somebody asks for a name whose answer is known. */
  used(name: string): void {
    const warm = this.#names.get(name);
    if (warm !== undefined) warm.usedAt = this.#now();
  }

  /** A name has an answer that holds so long; somebody asked for it, or did lately. */
  holds(name: string, seconds: number): void {
    let warm = this.#names.get(name);
    if (seconds < DNS_WARM_TTL_MIN_SECONDS) {
      this.forget(name);
      return;
    }
    if (warm === undefined) {
      if (this.#names.size >= this.#max) return;
      warm = { usedAt: this.#now(), seconds, timer: undefined };
      this.#names.set(name, warm);
    }
    clearTimeout(warm.timer);
    warm.seconds = seconds;
    warm.timer = setTimeout(() => this.#due(name), seconds * 1_000 * DNS_WARM_LEAD).unref();
  }

  /** It has no answer any more, or none that is worth it. */
  forget(name: string): void {
    clearTimeout(this.#names.get(name)?.timer);
    this.#names.delete(name);
  }

  #due(name: string): void {
    const { usedAt, seconds } = this.#names.get(name)!;
    const isUsed = this.#now() - usedAt <= Math.max(seconds, DNS_WARM_SECONDS) * 1_000;
    if (isUsed) this.#renew(name);
    else this.#names.delete(name);
  }
}
