/** Requests and streams of a node that are under way, all together: who waits for the last one's end hears of it. */
export class Underway {
  readonly #count: () => number;
  #idle: (() => void) | undefined;

  /** @param count how many there are; each end is told by `ended` */
  constructor(count: () => number) {
    this.#count = count;
  }

  get size(): number {
    return this.#count();
  }

  /** One is under way no longer. */
  ended(): void {
    if (this.#idle !== undefined && this.size === 0) this.#idle();
  }

  /** Waits until nothing is under way, or for this long. */
  async untilIdle(ms: number): Promise<void> {
    if (this.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idle = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }
}
