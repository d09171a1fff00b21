import { Counter, Gauge, type Registry } from "prom-client";
import { byLabel } from "./by-label.ts";
import type { Stage } from "./metrics.ts";

/** What Prometheus may read of streams. Labels hold codes and modes alone. */
export class StreamMetrics {
  readonly #opened: (mode: string) => Counter.Internal;
  readonly #closed: (reason: string) => Counter.Internal;
  readonly #refused: (reason: string) => Counter.Internal;
  readonly #resumed: Counter;
  readonly #bytes: (direction: string) => Counter.Internal;
  readonly #observe: (stage: string, ms: number) => void;

  /**
   * @param gauges streams that are not over, those of them without a connection, and paths that wait for the word to dial
   * @param observe books a stage's milliseconds
   */
  constructor(
    registry: Registry,
    gauges: { readonly open: () => number; readonly detached: () => number; readonly parked: () => number },
    observe: (stage: string, ms: number) => void,
  ) {
    this.#observe = observe;
    const registers = [registry];
    const counter = (name: string, help: string, labelNames: string[] = []) =>
      new Counter({ name: `holdfast_${name}`, help, labelNames, registers });
    const labelled = (name: string, help: string, label: string) => byLabel(counter(name, help, [label]));
    this.#opened = labelled("streams_opened_total", "Streams opened, by mode", "mode");
    this.#closed = labelled(
      "streams_closed_total",
      "Streams ended: done, or the code of the error",
      "reason",
    );
    this.#refused = labelled("streams_refused_total", "Streams and resumes refused, by code", "reason");
    this.#resumed = counter("stream_resumes_total", "Connections that took a stream over");
    this.#bytes = labelled(
      "stream_bytes_total",
      "Bytes of streams, up to targets and down from them",
      "direction",
    );
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
    gauge("streams_parked", "Paths that wait for the word to dial", gauges.parked);
    gauge("streams_detached", "Streams that wait for a connection to take over", gauges.detached);
  }

  opened(mode: string, timings: Partial<Record<Stage, number>>): void {
    this.#opened(mode).inc();
    for (const stage in timings) this.#observe(stage, timings[stage as Stage]!);
  }

  closed(reason: string): void {
    this.#closed(reason).inc();
  }

  refused(reason: string): void {
    this.#refused(reason).inc();
  }

  resumed(): void {
    this.#resumed.inc();
  }

  moved(direction: "up" | "down", bytes: number): void {
    this.#bytes(direction).inc(bytes);
  }
}
