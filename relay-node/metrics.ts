import type { Server } from "node:http";
import { createServer } from "./node-http.ts";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import { StageTimes } from "./stage-times.ts";

/**
 * The stages of a call, each in milliseconds; those that were not passed are absent. `node_queue` is from its arrival until
 * a connection to the target is asked for, `target` from the connection to the first byte of the answer. A stage that
 * failed has the time until then.
 */
export type Stage = "node_queue" | "dns" | "connect" | "tls" | "target";

/** What Prometheus may read. Labels hold codes and stages alone: nothing that a caller could choose. */
export class Metrics {
  readonly registry = new Registry();
  readonly #outcomes = new Map<string, number>();
  readonly #bytes = { up: 0, down: 0 };
  readonly #stages = new StageTimes();

  constructor(gauges: {
    readonly active: () => number;
    readonly connections: () => number;
    readonly slots: () => number;
    readonly draining: () => boolean;
    /** By family, whether the node may be left by it. */
    readonly inService: () => readonly (readonly [family: string, inService: boolean])[];
  }) {
    collectDefaultMetrics({ register: this.registry });
    // What each request adds to is kept in plain numbers, and told when it is asked for: prom-client makes a text of the labels for
    // each addition.
    const counter = (name: string, help: string, label: string, read: () => Iterable<[string, number]>) =>
      new Counter({
        name,
        help,
        labelNames: [label],
        registers: [this.registry],
        collect() {
          this.reset();
          for (const [value, count] of read()) this.inc({ [label]: value }, count);
        },
      });
    counter(
      "holdfast_requests_total",
      "Requests by outcome: target, or the code of the relay's own error",
      "outcome",
      () => this.#outcomes,
    );
    counter(
      "holdfast_body_bytes_total",
      "Body bytes relayed, up to targets and down from them",
      "direction",
      () => Object.entries(this.#bytes),
    );
    this.registry.registerMetric(this.#stages.metric);
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.set(read());
        },
      });
    gauge("holdfast_requests_active", "Requests under way", gauges.active);
    gauge("holdfast_target_connections", "Connections to targets, busy and warm", gauges.connections);
    gauge("holdfast_client_slots", "Requests that count towards a client's limit", gauges.slots);
    gauge("holdfast_draining", "1 while the node takes no new requests", () => Number(gauges.draining()));
    const inService = new Gauge({
      name: "holdfast_in_service",
      help: "1 while the address of a family is proven",
      labelNames: ["family"],
      registers: [this.registry],
      collect: () => {
        for (const [family, isProven] of gauges.inService()) inService.set({ family }, Number(isProven));
      },
    });
  }

  finished(
    outcome: string,
    up: number,
    down: number,
    totalMs: number,
    timings: Partial<Record<Stage, number>>,
  ): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
    this.#bytes.up += up;
    this.#bytes.down += down;
    this.observe("total", totalMs);
    for (const stage in timings) this.observe(stage, timings[stage as Stage]!);
  }

  /** Books a stage of a call. */
  readonly observe = (stage: string, ms: number): void => this.#stages.observe(stage, ms / 1_000);

  /** The listener for `/metrics`; its host is loopback by configuration. */
  server(): Server {
    return createServer((request, response) => {
      if (request.url !== "/metrics" || request.method !== "GET") {
        response.writeHead(404).end();
        return;
      }
      this.registry.metrics().then(
        (text) => response.writeHead(200, { "Content-Type": this.registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    });
  }
}
