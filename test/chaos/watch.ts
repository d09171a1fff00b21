import { setTimeout as sleep } from "node:timers/promises";
import type { Conversation } from "../support/conversation.ts";
import { type Arrival, type Attempt, spread } from "./ledger.ts";
import { COLLECT_MS, SPREAD_REQUESTS_MIN, SPREAD_SHARE_MIN, SPREAD_WINDOW_MS } from "./limits.ts";

/** Collects what the client and the target note while a run goes on. */
export class Watch {
  readonly attempts: Attempt[] = [];
  readonly arrivals: Arrival[] = [];
  readonly #load: Conversation;
  readonly #target: Conversation;

  constructor(load: Conversation, target: Conversation) {
    this.#load = load;
    this.#target = target;
  }

  async collect(): Promise<void> {
    const [attempts, arrivals] = await Promise.all([
      this.#load.ask<Attempt[]>({ what: "take" }),
      this.#target.ask<Arrival[]>({ what: "take" }),
    ]);
    this.attempts.push(...attempts);
    this.arrivals.push(...arrivals);
  }

  /**
   * Waits until, over a window that begins no earlier than now, traffic is spread evenly over the nodes.
   * @returns seconds until then, undefined where it took longer than the deadline
   */
  async untilEven(nodes: readonly string[], deadlineMs: number): Promise<number | undefined> {
    const from = Date.now();
    for (;;) {
      const now = Date.now();
      const { least, answered } = spread(this.attempts, Math.max(from, now - SPREAD_WINDOW_MS), nodes);
      if (answered >= SPREAD_REQUESTS_MIN && least >= SPREAD_SHARE_MIN) return (now - from) / 1_000;
      if (now - from > deadlineMs) return undefined;
      await sleep(COLLECT_MS);
      await this.collect();
    }
  }
}
