import type { Metric } from "prom-client";

const NAME = "holdfast_stage_seconds";
const HELP = "Time by stage of a call";

/** Upper ends of the buckets, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120] as const;

interface Times {
  /** How many fell into each bucket and none below it; the last one is of what is longer than all. */
  readonly counts: number[];
  sum: number;
}

/** The histogram of times by stage: what prom-client's own would tell, for a tenth of what each observation costs there. */
export class StageTimes {
  readonly #stages = new Map<string, Times>();

  observe(stage: string, seconds: number): void {
    let times = this.#stages.get(stage);
    if (times === undefined) {
      times = { counts: Array.from({ length: BUCKETS.length + 1 }, () => 0), sum: 0 };
      this.#stages.set(stage, times);
    }
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > BUCKETS[bucket]!) bucket++;
    times.counts[bucket]! += 1;
    times.sum += seconds;
  }

  /** To be registered: of what prom-client asks a metric, this is all that a registry does. */
  get metric(): Metric {
    const described = { name: NAME, help: HELP, type: "histogram", aggregator: "sum" };
    const metric = {
      ...described,
      get: () => Promise.resolve({ ...described, values: [...this.#values()] }),
      reset: () => this.#stages.clear(),
    };
    return metric as unknown as Metric;
  }

  *#values() {
    for (const [stage, { counts, sum }] of this.#stages) {
      let below = 0;
      for (const [index, count] of counts.entries()) {
        below += count;
        const le = BUCKETS[index] ?? "+Inf";
        yield { labels: { le, stage }, value: below, metricName: `${NAME}_bucket` };
      }
      yield { labels: { stage }, value: sum, metricName: `${NAME}_sum` };
      yield { labels: { stage }, value: below, metricName: `${NAME}_count` };
    }
  }
}
