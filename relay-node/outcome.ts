import type { Logger } from "pino";
import { Call, rounded } from "./call.ts";
import type { NodeConfig } from "./config.ts";
import type { Exchange } from "./exchange.ts";
import type { Metrics } from "./metrics.ts";
import { RequestBody } from "./request-body.ts";

/** What is known of one request, told at its end in one log line and the metrics. */
export class Outcome extends Call {
  exchange: Exchange | undefined;
  body: Buffer | RequestBody | null = null;
  readonly #door: "fetch" | "proxy";

  /** @param door the one that it came by */
  constructor(config: NodeConfig, door: "fetch" | "proxy") {
    super(config);
    this.#door = door;
  }

  /** Bytes of the request's body that were passed on. */
  get bytesUp(): number {
    return this.body instanceof RequestBody ? this.body.bytes : (this.body?.length ?? 0);
  }

  /** Bytes of the answer's body that came. */
  get bytesDown(): number {
    return this.exchange?.bytes ?? 0;
  }

  /** The canonical line and the counters: once, when nothing more will happen. */
  tell(log: Logger, metrics: Metrics): void {
    const { claims, error, exchange, dialed, totalMs } = this;
    const up = this.bytesUp;
    const down = this.bytesDown;
    metrics.finished(error?.code ?? "target", up, down, totalMs, this.timings);
    const line = {
      door: this.#door,
      ...this.line,
      method: claims?.htm,
      decision: exchange === undefined ? "refused" : "relayed",
      status: exchange?.begun === true ? exchange.status : undefined,
      protocol: dialed === undefined ? undefined : (dialed.alpn ?? "http/1.1"),
      tls: dialed?.tlsVersion,
      warm: this.warm,
      bytes_up: up,
      bytes_down: down,
      ms: rounded({ ...this.timings, total: totalMs }),
    };
    this.write(log, line, "request");
  }
}
