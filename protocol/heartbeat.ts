import { STREAM_PONG_MS, STREAM_QUIET_BUSY_MS, STREAM_QUIET_MS } from "./limits.ts";

/**
 * Tells from silence whether the other end is still there. Times are milliseconds from any origin that does not jump.
 *
 * @example
 * const heart = new Heartbeat(performance.now());
 * if (heart.look(performance.now(), end.isWaiting) === "lost") connection.terminate();
 */
export class Heartbeat {
  #heardAt: number;
  #askedAt: number | undefined;

  constructor(now: number) {
    this.#heardAt = now;
  }

  /** Any message came. */
  heard(now: number): void {
    this.#heardAt = now;
    this.#askedAt = undefined;
  }

  /**
   * What is to be done: nothing, a question to be sent, or to give the connection up.
   * @param isWaiting something was sent and is not acknowledged: a silence says more then
   */
  look(now: number, isWaiting: boolean): "fine" | "ask" | "lost" {
    if (this.#askedAt !== undefined) return now - this.#askedAt >= STREAM_PONG_MS ? "lost" : "fine";
    if (now - this.#heardAt < (isWaiting ? STREAM_QUIET_BUSY_MS : STREAM_QUIET_MS)) return "fine";
    this.#askedAt = now;
    return "ask";
  }
}
