import { PROXY_EDGE_REST_MS } from "./limits.ts";

/**
 * Whether the edge can be asked, as far as its last answers tell. Times are milliseconds since 1970.
 *
 * A lost edge is tried by one question after each rest, which no user with a living grant waits for.
 */
export class EdgeReach {
  #triedAt: number | undefined;

  get isLost(): boolean {
    return this.#triedAt !== undefined;
  }

  /** Notes a failure; says whether it is the first one. */
  lost(now: number): boolean {
    const isFirst = !this.isLost;
    this.#triedAt = now;
    return isFirst;
  }

  /** Notes an answer; says whether the edge was lost before. */
  found(): boolean {
    const wasLost = this.isLost;
    this.#triedAt = undefined;
    return wasLost;
  }

  /** Whether a question may leave that a living grant makes needless; of a lost edge, the next one rests again. */
  mayTry(now: number): boolean {
    if (this.#triedAt === undefined) return true;
    if (now >= this.#triedAt && now < this.#triedAt + PROXY_EDGE_REST_MS) return false;
    this.#triedAt = now;
    return true;
  }
}
