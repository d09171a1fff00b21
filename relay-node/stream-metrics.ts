import { Counter, Gauge, type Registry } from "prom-client";
import type { Stage } from "./metrics.ts";

/** What Prometheus may read of streams. Labels hold codes and modes alone. */
export class StreamMetrics {
  readonly #opened: Counter;
  readonly #closed: Counter;
  readonly #refused: Counter;
  readonly #resumed: Counter;
  readonly #bytes: Counter;
  readonly #observe: (stage: string, ms: number) => void;

  /**
   * @param gauges streams that are not over, and those of them without a connection
   * @param observe books a stage's milliseconds
   */
  constructor(
    registry: Registry,
    gauges: { readonly open: () => number; readonly detached: () => number },
    observe: (stage: string, ms: number) => void,
  ) {
    this.#observe = observe;
    const registers = [registry];
    const counter = (name: string, help: string, labelNames: string[] = []) =>
      new Counter({ name: `holdfast_${name}`, help, labelNames, registers });
    this.#opened = counter("streams_opened_total", "Streams opened, by mode", ["mode"]);
    this.#closed = counter("streams_closed_total", "Streams ended: done, or the code of the error", [
      "reason",
    ]);
    this.#refused = counter("streams_refused_total", "Streams and resumes refused, by code", ["reason"]);
    this.#resumed = counter("stream_resumes_total", "Connections that took a stream over");
    this.#bytes = counter("stream_bytes_total", "Bytes of streams, up to targets and down from them", [
      "direction",
    ]);
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name: `holdfast_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    gauge("streams_open", "Streams that are not over", gauges.open);
    gauge("streams_detached", "Streams that wait for a connection to take over", gauges.detached);
  }

  opened(mode: string, timings: Partial<Record<Stage, number>>): void {
    this.#opened.inc({ mode });
    for (const [stage, ms] of Object.entries(timings)) this.#observe(stage, ms);
  }

  closed(reason: string): void {
    this.#closed.inc({ reason });
  }

  refused(reason: string): void {
    this.#refused.inc({ reason });
  }

  resumed(): void {
    this.#resumed.inc();
  }

  moved(direction: "up" | "down", bytes: number): void {
    this.#bytes.inc({ direction }, bytes);
  }
}
