import { SHARED_TASK_POLL_MS } from "./limits.ts";

/** What came of a task. */
type Outcome<T> = { readonly value: T } | { readonly error: unknown };

/**
 * A task that many callers want done, once at a time: whoever comes while it is under way gets what comes of it.
 *
 * Outcomes are kept and not promises of them: workerd does not let one request wait for what another began. So who finds the task
 * under way looks again and again whether it is over.
 */
export class SharedTask<T> {
  readonly #deadlineMs: number;
  readonly #now: () => number;
  #running: object | undefined;
  /** The task is under way, but not for longer: in workerd it ends with the request that began it. */
  #until = Number.NEGATIVE_INFINITY;
  #ended = 0;
  #last: Outcome<T> | undefined;

  /**
   * @param deadlineMs after this time another caller does it as well
   * @param now milliseconds since 1970
   */
  constructor(deadlineMs: number, now: () => number) {
    this.#deadlineMs = deadlineMs;
    this.#now = now;
  }

  get isRunning(): boolean {
    return this.#running !== undefined && this.#now() < this.#until;
  }

  /** Does the task, or waits for the one that is under way. Rejects as that does. */
  async run(task: () => Promise<T>): Promise<T> {
    const ended = this.#ended;
    // Counted and not timed, so that it ends also by a clock that stands still.
    for (let looks = 0; this.isRunning && looks < this.#deadlineMs / SHARED_TASK_POLL_MS; looks++) {
      await new Promise((resolve) => setTimeout(resolve, SHARED_TASK_POLL_MS));
      if (this.#ended !== ended) return valueOf(this.#last!);
    }
    const own = {};
    this.#running = own;
    this.#until = this.#now() + this.#deadlineMs;
    const outcome = await task().then(
      (value): Outcome<T> => ({ value }),
      (error: unknown): Outcome<T> => ({ error }),
    );
    if (this.#running === own) {
      this.#running = undefined;
      this.#last = outcome;
      this.#ended++;
    }
    return valueOf(outcome);
  }
}

function valueOf<T>(outcome: Outcome<T>): T {
  if ("error" in outcome) throw outcome.error;
  return outcome.value;
}
