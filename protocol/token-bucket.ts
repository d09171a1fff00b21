/**
 * A token bucket: it fills at a steady rate up to a burst, and may be overdrawn. Times are milliseconds from any origin;
 * one that jumps back is taken for standing still.
 *
 * @example
 * const bucket = new TokenBucket({ rate: 10, burst: 10 }, now);
 * if (!bucket.take(1, now)) retryAfterMs = bucket.waitMs(1, now);
 */
export class TokenBucket {
  #rate: number;
  #burst: number;
  #level: number;
  #at: number;

  /** A full one. */
  constructor({ rate, burst }: BucketSize, now: number) {
    this.#rate = rate;
    this.#burst = burst;
    this.#level = burst;
    this.#at = now;
  }

  /** Tokens that are there; less than 0 is a debt. */
  level(now: number): number {
    const seconds = Math.max(0, now - this.#at) / 1_000;
    this.#level = Math.min(this.#burst, settled(this.#level + seconds * this.#rate));
    this.#at = now;
    return this.#level;
  }

  /** Takes tokens where so many are there; says whether they were. */
  take(count: number, now: number): boolean {
    if (this.level(now) < count) return false;
    this.#level -= count;
    return true;
  }

  /** Takes tokens whether they are there or not; says what is left. */
  spend(count: number, now: number): number {
    this.#level = this.level(now) - count;
    return this.#level;
  }

  /** Until so many tokens are there, in whole milliseconds; 0 where they are. */
  waitMs(count: number, now: number): number {
    return Math.max(0, Math.ceil(settled(((count - this.level(now)) / this.#rate) * 1_000)));
  }

  /** Whether a new one would be the same. */
  isFull(now: number): boolean {
    return this.level(now) >= this.#burst;
  }

  /** Goes on with another size; what was filled until now was filled at the old rate. */
  resize({ rate, burst }: BucketSize, now: number): void {
    this.#level = Math.min(burst, this.level(now));
    this.#rate = rate;
    this.#burst = burst;
  }
}

/** Fractions that are summed up miss a whole number by a hair, and a waiter that comes in time would be told to wait again. */
function settled(value: number): number {
  const whole = Math.round(value);
  return Math.abs(value - whole) < 1e-6 ? whole : value;
}

/** How fast a bucket fills, in tokens per second, and how many it holds. */
export interface BucketSize {
  readonly rate: number;
  readonly burst: number;
}
