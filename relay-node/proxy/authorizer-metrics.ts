import { Counter, Gauge, type Registry } from "prom-client";
import { byLabel } from "../by-label.ts";

/** What Prometheus may read of the proxy's authorization. Labels hold codes alone. */
export class AuthorizerMetrics {
  readonly #questions: (outcome: string) => Counter.Internal;
  readonly #unasked: (outcome: string) => Counter.Internal;

  /** @param grants how many are kept */
  constructor(registry: Registry, grants: () => number) {
    const registers = [registry];
    const questions = new Counter({
      name: "holdfast_proxy_questions_total",
      help: "Questions to the edge who may use the proxy: granted, or the code of the error",
      labelNames: ["outcome"],
      registers,
    });
    const unasked = new Counter({
      name: "holdfast_proxy_unasked_total",
      help: "Answers to users of the proxy that waited for no question: granted, or the code of the error",
      labelNames: ["outcome"],
      registers,
    });
    this.#questions = byLabel(questions);
    this.#unasked = byLabel(unasked);
    const gauge: Gauge = new Gauge({
      name: "holdfast_proxy_grants",
      help: "Grants of the proxy's users that are alive",
      registers,
      collect: () => {
        gauge.set(grants());
      },
    });
  }

  /** The edge was asked. */
  asked(outcome: string): void {
    this.#questions(outcome).inc();
  }

  /** It was not. */
  unasked(outcome: string): void {
    this.#unasked(outcome).inc();
  }
}
