import type { Logger } from "pino";
import type { ErrorCode, RelayError } from "../protocol/errors.ts";
import type { GrantClaims } from "../protocol/grants.ts";
import type { NodeConfig } from "./config.ts";
import type { Dialed, OnStage } from "./dialer.ts";
import type { Exchange } from "./exchange.ts";
import type { Metrics, Stage } from "./metrics.ts";
import { RequestBody } from "./request-body.ts";

/** Refusals that nothing bounds: strangers', and clients' beyond their limits, could fill a disk. The counters tell of them. */
const UNBOUNDED: ReadonlySet<ErrorCode> = new Set([
  "grant_missing",
  "grant_invalid",
  "rate_limited",
  "concurrency_limited",
]);

/** What is known of one call, filled in as it goes on, told at its end in one log line and the metrics. */
export class Outcome {
  claims: GrantClaims | undefined;
  error: RelayError | undefined;
  exchange: Exchange | undefined;
  body: Buffer | RequestBody | null = null;
  /** The published address that the target saw. */
  egress: string | undefined;
  /** Whether the connection to the target had served before. */
  warm: boolean | undefined;
  readonly timings: Partial<Record<Stage, number>> = {};
  readonly #started = performance.now();
  #lapped = this.#started;
  #dialed: Dialed | undefined;
  /** The target is connected and has not answered. */
  #waiting = false;
  readonly #config: NodeConfig;

  constructor(config: NodeConfig) {
    this.#config = config;
  }

  /** Books the time since the last lap under a stage. */
  lap(stage: Stage): void {
    const now = performance.now();
    this.timings[stage] = now - this.#lapped;
    this.#lapped = now;
    this.#waiting = false;
  }

  /** Books a stage of dialling. */
  readonly onStage: OnStage = (stage, ms) => {
    this.#waiting = false;
    this.timings[stage] = ms;
  };

  /** Notes the connection that is used. */
  connected(dialed: Dialed, warm: boolean): void {
    this.#dialed = dialed;
    this.warm = warm;
    this.#waiting = true;
    this.#lapped = performance.now();
    this.egress = this.#config.egress[dialed.family === 6 ? "ipv6" : "ipv4"]?.public;
  }

  /** The call failed: the stage that it was in gets the time until now. The dialer tells of its own. */
  failed(): void {
    if (this.timings.node_queue === undefined) this.lap("node_queue");
    else if (this.#waiting) this.lap("target");
  }

  /** Bytes of the request's body that were passed on. */
  get bytesUp(): number {
    return this.body instanceof RequestBody ? this.body.bytes : (this.body?.length ?? 0);
  }

  /** The canonical line and the counters: once, when nothing more will happen. */
  tell(log: Logger, metrics: Metrics): void {
    const { claims, error, exchange, egress } = this;
    const up = this.bytesUp;
    const down = exchange?.bytes ?? 0;
    const total = performance.now() - this.#started;
    metrics.finished(error?.code ?? "target", up, down, total, this.timings);
    const line = {
      door: "fetch",
      jti: claims?.jti,
      client: claims?.sub,
      method: claims?.htm,
      // Host and port alone: paths and queries may hold secrets.
      target: claims === undefined ? undefined : URL.parse(claims.url)?.host,
      decision: exchange === undefined ? "refused" : "relayed",
      reason: error?.code,
      detail: error?.detail,
      reached: error?.reached,
      status: exchange?.begun === true ? exchange.status : undefined,
      egress,
      bind: this.#dialed?.egress,
      dialed: this.#dialed?.address,
      protocol: this.#dialed === undefined ? undefined : (this.#dialed.alpn ?? "http/1.1"),
      tls: this.#dialed?.tlsVersion,
      warm: this.warm,
      bytes_up: up,
      bytes_down: down,
      ms: rounded({ ...this.timings, total }),
    };
    if (error !== undefined && UNBOUNDED.has(error.code)) log.debug(line, "request");
    else if (error !== undefined && error.status >= 500) {
      log.warn({ ...line, cause: causeOf(error) }, "request");
    } else log.info(line, "request");
  }
}

function rounded(timings: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(timings).map(([stage, ms]) => [stage, Math.round(ms * 10) / 10]));
}

/** The code of the system's or library's own error; its message may quote what was sent. */
function causeOf({ cause }: RelayError): string | undefined {
  if (!(cause instanceof Error)) return undefined;
  return (cause as NodeJS.ErrnoException).code ?? cause.name;
}
