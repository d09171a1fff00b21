import type { Server } from "node:http";
import { createServer } from "./node-http.ts";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/**
 * The stages of a call, each in milliseconds; those that were not passed are absent. `node_queue` is from its arrival until
 * a connection to the target is asked for, `target` from the connection to the first byte of the answer. A stage that
 * failed has the time until then.
 */
export type Stage = "node_queue" | "dns" | "connect" | "tls" | "target";

/** What Prometheus may read. Labels hold codes and stages alone: nothing that a caller could choose. */
export class Metrics {
  readonly registry = new Registry();
  readonly #requests = new Counter({
    name: "holdfast_requests_total",
    help: "Requests by outcome: target, or the code of the relay's own error",
    labelNames: ["outcome"],
    registers: [this.registry],
  });
  readonly #bytes = new Counter({
    name: "holdfast_body_bytes_total",
    help: "Body bytes relayed, up to targets and down from them",
    labelNames: ["direction"],
    registers: [this.registry],
  });
  readonly #stages = new Histogram({
    name: "holdfast_stage_seconds",
    help: "Time by stage of a call",
    labelNames: ["stage"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
    registers: [this.registry],
  });

  constructor(gauges: {
    readonly active: () => number;
    readonly connections: () => number;
    readonly slots: () => number;
    readonly draining: () => boolean;
    /** By family, whether the node may be left by it. */
    readonly inService: () => readonly (readonly [family: string, inService: boolean])[];
  }) {
    collectDefaultMetrics({ register: this.registry });
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
    this.#requests.inc({ outcome });
    this.#bytes.inc({ direction: "up" }, up);
    this.#bytes.inc({ direction: "down" }, down);
    this.observe("total", totalMs);
    for (const [stage, ms] of Object.entries(timings)) this.observe(stage, ms);
  }

  /** Books a stage of a call. */
  readonly observe = (stage: string, ms: number): void => this.#stages.observe({ stage }, ms / 1_000);

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
