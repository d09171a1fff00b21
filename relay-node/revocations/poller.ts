import type { Logger } from "pino";
import { REVOCATIONS_PAGE_MAX } from "../../protocol/limits.ts";
import { parseRevocations } from "../../protocol/revocations.ts";
import { type EdgeClient, refusalOf } from "../edge-client.ts";
import { causeOf } from "../peer-client.ts";
import {
  REVOCATIONS_ANSWER_MAX_BYTES,
  REVOCATIONS_JITTER,
  REVOCATIONS_POLL_MS,
  REVOCATIONS_RETRY_SHARE,
} from "./limits.ts";
import type { RevocationMetrics } from "./metrics.ts";
import type { Revocations } from "./revocations.ts";

/** What a poller is made of. */
export interface RevocationPollerOptions {
  readonly client: Pick<EdgeClient, "call">;
  readonly revocations: Revocations;
  readonly metrics: RevocationMetrics;
  readonly log: Logger;
  /** Milliseconds between two rounds, where not as the limits say. */
  readonly intervalMs?: number | undefined;
}

/**
 * How long to wait before the next round, in milliseconds.
 *
 * @param failures how many rounds have failed since the last one that did not
 * @param random 0 to 1
 */
export function pollDelay(failures: number, random: number, intervalMs: number): number {
  const first = intervalMs * REVOCATIONS_RETRY_SHARE;
  const longest = failures === 0 ? intervalMs : Math.min(first * 2 ** Math.min(failures - 1, 20), intervalMs);
  return longest * (1 - REVOCATIONS_JITTER * random);
}

/**
 *   node ──GET /revocations?after=…──▶ edge
 *   node ◀──what was revoked since─────
 *
 * Asks the edge from time to time what was revoked, and sees to it. What can't be asked, or is no answer, changes nothing: it is
 * asked again, from where the last answer left off, so that nothing is missed however long the edge was away.
 */
export class RevocationPoller {
  readonly #options: RevocationPollerOptions;
  readonly #intervalMs: number;
  readonly #closing = new AbortController();
  /** Undefined until the edge has answered. */
  #after: number | undefined;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(options: RevocationPollerOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? REVOCATIONS_POLL_MS;
  }

  /** Begins to ask, at once and then on. */
  start(): void {
    this.#round = this.#ask().finally(() => {
      if (this.#closing.signal.aborted) return;
      const ms = pollDelay(this.#failures, Math.random(), this.#intervalMs);
      this.#timer = setTimeout(() => this.start(), ms);
    });
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("closed"));
    clearTimeout(this.#timer);
    await this.#round;
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    try {
      while (await this.#page());
      this.#found();
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#lost(causeOf(error));
    }
  }

  /** Whether there may be more. */
  async #page(): Promise<boolean> {
    const { client, revocations, metrics, log } = this.#options;
    const after = this.#after;
    const path = `/revocations${after === undefined ? "" : `?after=${after}`}`;
    const call = { act: "revocations", path, maxBytes: REVOCATIONS_ANSWER_MAX_BYTES } as const;
    const answer = await client.call(call, Math.floor(Date.now() / 1_000), this.#closing.signal);
    if (answer.status !== 200) throw Object.assign(new Error("refused"), { code: refusalOf(answer) });
    const { page, unknown } = parseRevocations(answer.text);
    const { entries, next } = page;
    if (unknown > 0) log.warn({ entries: unknown }, "revocations of a kind that this version does not know");
    const ended = await revocations.apply(entries);
    this.#after = next;
    if (entries.length > 0) {
      metrics.applied(entries, ended);
      log.info({ entries: entries.length, ended }, "revocations applied");
    }
    // A registry that counts anew tells of its own last while.
    return entries.length + unknown >= REVOCATIONS_PAGE_MAX && next > (after ?? 0);
  }

  #found(): void {
    const { metrics, log } = this.#options;
    if (this.#failures > 0) log.info({ seconds: Math.round(metrics.age) }, "revocations read again");
    this.#failures = 0;
    metrics.read();
  }

  #lost(cause: string): void {
    if (this.#failures === 0) this.#options.log.warn({ cause }, "revocations not read");
    this.#failures++;
  }
}
