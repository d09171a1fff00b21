import { Counter, Gauge, type Registry } from "prom-client";
import type { Revocation } from "../../protocol/revocations.ts";
import type { Ended } from "./revocations.ts";

/** What Prometheus may read of revocations. Labels hold kinds alone. */
export class RevocationMetrics {
  readonly #applied: Counter;
  readonly #ended: Counter;
  #readAt = performance.now();

  constructor(registry: Registry) {
    const registers = [registry];
    this.#applied = new Counter({
      name: "holdfast_revocations_total",
      help: "Revocations that the edge told of, by what was revoked",
      labelNames: ["kind"],
      registers,
    });
    this.#ended = new Counter({
      name: "holdfast_revocation_ends_total",
      help: "What was ended by a revocation: requests, streams, users' connections that rested",
      labelNames: ["what"],
      registers,
    });
    const gauge: Gauge = new Gauge({
      name: "holdfast_revocations_age_seconds",
      help: "Time since the edge last told what was revoked, or since the start",
      registers,
      collect: () => {
        gauge.set(this.age);
      },
    });
  }

  /** Seconds since the edge last answered, or since the start. */
  get age(): number {
    return (performance.now() - this.#readAt) / 1_000;
  }

  /** The edge has told all that there is. */
  read(): void {
    this.#readAt = performance.now();
  }

  applied(entries: readonly Revocation[], ended: Ended): void {
    for (const { kind } of entries) this.#applied.inc({ kind });
    for (const [what, count] of Object.entries(ended)) if (count > 0) this.#ended.inc({ what }, count);
  }
}
