import type { Logger } from "pino";
import { USAGE_LATE_MONTHS, USAGE_REPORT_MAX_TOTALS } from "../../protocol/limits.ts";
import {
  monthOf,
  monthsBefore,
  type UsageAnswer,
  type UsageReport,
  type UsageTotal,
} from "../../protocol/usage.ts";
import { causeOf } from "../peer-client.ts";
import { type EdgeClient, refusalOf } from "../edge-client.ts";
import { type Counts, type Entry, sumOf } from "./counts.ts";
import {
  USAGE_ANSWER_MAX_BYTES,
  USAGE_LAST_REPORT_MS,
  USAGE_REPORT_JITTER,
  USAGE_REPORT_MS,
} from "./limits.ts";
import type { Usage } from "./usage.ts";

const CALL = { act: "usage", path: "/usage", maxBytes: USAGE_ANSWER_MAX_BYTES } as const;

/** What a reporter is made of. */
export interface ReporterOptions {
  readonly usage: Usage;
  readonly client: Pick<EdgeClient, "call">;
  /** Hears of clients that may use nothing more this month. */
  readonly onOver: (clients: ReadonlySet<string>) => void;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Milliseconds, from any origin that does not jump. */
  readonly elapsed?: () => number;
  readonly intervalMs?: number | undefined;
}

/**
 *   journal ──fsync──▶ totals that have grown ──POST /usage──▶ edge ──▶ registry
 *   streams of clients over their quota ◀── { over } ─────────┘
 *
 * Tells the edge from time to time what was counted: totals, so that a report that is lost, doubled or late does no harm.
 * Nothing is told that is not on the disk: a total that fell after the host did would hide what is counted next.
 */
export class UsageReporter {
  readonly #options: ReporterOptions;
  /** The sums of totals as the edge has them. */
  readonly #told = new WeakMap<Counts, number>();
  readonly #closing = new AbortController();
  readonly #now: () => number;
  /** What time it is by the clock's first word, however it was set since. */
  readonly #unset: () => number;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #isLost = false;

  constructor(options: ReporterOptions) {
    const { now = Date.now, elapsed = () => performance.now() } = options;
    const origin = now() - elapsed();
    this.#options = options;
    this.#now = now;
    this.#unset = () => origin + elapsed();
  }

  start(): void {
    if (this.#closing.signal.aborted) return;
    const { intervalMs = USAGE_REPORT_MS } = this.#options;
    const factor = 1 + USAGE_REPORT_JITTER * (2 * Math.random() - 1);
    this.#timer = setTimeout(() => void this.report().then(() => this.start()), intervalMs * factor).unref();
  }

  /** Tells what has grown, or joins who does; never rejects. */
  report(): Promise<void> {
    this.#round ??= this.#report()
      .catch((error: unknown) => this.#failed(causeOf(error)))
      .finally(() => (this.#round = undefined));
    return this.#round;
  }

  /** The node goes: what was counted is told once more, if that is soon done. */
  async last(): Promise<void> {
    clearTimeout(this.#timer);
    const timer = setTimeout(() => this.#closing.abort(new Error("closed")), USAGE_LAST_REPORT_MS);
    await this.#round;
    await this.report();
    clearTimeout(timer);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#closing.abort(new Error("closed"));
    await this.#round;
  }

  async #report(): Promise<void> {
    const { usage } = this.#options;
    const { totals } = usage.journal;
    // By a clock that is ahead for a while nothing must be lost: what began at zero again would be less than what was told.
    const month = monthOf(Math.min(this.#now(), this.#unset()));
    totals.dropBefore(monthsBefore(month, USAGE_LATE_MONTHS));
    usage.book();
    const grown = [...totals].filter(({ counts }) => sumOf(counts) !== this.#told.get(counts));
    if (grown.length === 0) return;
    // As they are now: they grow while the disk is waited for.
    const told = grown.map((entry) => ({ entry, sum: sumOf(entry.counts), total: totalOf(entry) }));
    await usage.journal.sync();
    for (let at = 0; at < told.length; at += USAGE_REPORT_MAX_TOTALS) {
      const page = told.slice(at, at + USAGE_REPORT_MAX_TOTALS);
      await this.#send({ epoch: usage.journal.epoch, totals: page.map(({ total }) => total) });
      for (const { entry, sum } of page) this.#told.set(entry.counts, sum);
    }
    if (this.#isLost) this.#options.log.info("usage told again");
    this.#isLost = false;
  }

  async #send(report: UsageReport): Promise<void> {
    const { client, onOver } = this.#options;
    const seconds = Math.floor(this.#now() / 1_000);
    const call = { ...CALL, body: JSON.stringify(report) };
    const answer = await client.call(call, seconds, this.#closing.signal);
    if (answer.status !== 200) {
      throw Object.assign(new Error("the edge refused"), { code: refusalOf(answer) });
    }
    const over = overIn(answer.text);
    if (over.size > 0) onOver(over);
  }

  #failed(cause: string): void {
    if (this.#closing.signal.aborted) return;
    if (!this.#isLost) this.#options.log.warn({ cause }, "usage not told");
    this.#isLost = true;
  }
}

function totalOf({ month, client, counts }: Entry): UsageTotal {
  const { requests, refusals, streams, streamMs, bytesUp, bytesDown } = counts;
  const streamSeconds = Math.floor(streamMs / 1_000);
  return { month, client, requests, refusals, streams, streamSeconds, bytesUp, bytesDown };
}

/** @throws Error where the answer is none of the edge's */
function overIn(text: string): ReadonlySet<string> {
  const { over } = JSON.parse(text) as Partial<UsageAnswer>;
  if (!Array.isArray(over)) throw new Error("no list in the answer");
  return new Set(over.filter((client) => typeof client === "string"));
}
