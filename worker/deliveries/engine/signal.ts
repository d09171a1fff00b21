/** Wakes one who waits. A signal that comes before the wait ends it at once. */
export class Signal {
  #isSet = false;
  #wake: (() => void) | undefined;

  set(): void {
    this.#isSet = true;
    this.#wake?.();
  }

  /** Resolves with the next signal, or after so many milliseconds. */
  async wait(ms: number): Promise<void> {
    if (!this.#isSet) {
      await new Promise<void>((done) => {
        const timer = setTimeout(done, ms);
        const wake = () => {
          clearTimeout(timer);
          done();
        };
        this.#wake = wake;
      });
      this.#wake = undefined;
    }
    this.#isSet = false;
  }
}
