import { hash } from "node:crypto";
import type { Logger } from "pino";
import { RelayError } from "../protocol/errors.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { Call, rounded } from "./call.ts";
import type { ClientSlot } from "./client-limits.ts";
import type { NodeConfig } from "./config.ts";
import type { StreamMetrics } from "./stream-metrics.ts";
import type { Usage } from "./usage/usage.ts";

/**
 * How a stream is carried. By the stream door: under `holdfast.stream.v1`, or as bytes and nothing else. By the proxy door: as
 * what its user speaks to it.
 */
export type StreamMode = "v1" | "raw" | ProxyMode;

/** What a user of the proxy door asks for a tunnel by. */
export type ProxyMode = "connect" | "connect-tcp" | "socks5";

/** Where it is told and counted that a stream was opened. */
export interface StreamBooks {
  readonly log: Logger;
  readonly metrics: StreamMetrics;
  readonly usage: Usage;
}

/** What is known of one stream: what it moved, what its client's limits say of it, and its two lines in the log. */
export class StreamAccount extends Call {
  resumes = 0;
  up = 0;
  down = 0;
  slot: ClientSlot | undefined;
  /** The door that it came by. */
  readonly #door: "stream" | "proxy";
  #stream: string | undefined;
  #mode: StreamMode | undefined;
  #openedAt = 0;
  #movedAt = 0;
  #metrics: StreamMetrics | undefined;
  #usage: Usage | undefined;

  constructor(config: NodeConfig, door: "stream" | "proxy" = "stream") {
    super(config);
    this.#door = door;
  }

  /** Whether the client's share of bytes is used up for now. */
  get inDebt(): boolean {
    return this.slot?.inDebt === true;
  }

  /** Whether the client has a share of bytes at all. */
  get isPaced(): boolean {
    return this.slot?.isPaced === true;
  }

  get bytesUp(): number {
    return this.up;
  }

  get bytesDown(): number {
    return this.down;
  }

  /** Books bytes that passed. */
  moved(direction: "up" | "down", bytes: number): void {
    this[direction] += bytes;
    this.#movedAt = performance.now();
    this.#metrics?.moved(direction, bytes);
    this.slot?.spend(bytes);
  }

  /** Why the stream has to end by its client's limits, if it has to. */
  overdue(now: number): RelayError | undefined {
    const { idle, lifetime } = this.claims?.limits ?? {};
    if (lifetime !== undefined && now - this.#openedAt >= lifetime * 1_000) {
      return new RelayError("stream_lifetime", `the client's streams last ${lifetime} s at most`);
    }
    if (idle !== undefined && now - this.#movedAt >= idle * 1_000) {
      return new RelayError("stream_idle", `nothing passed for ${idle} s`);
    }
    return undefined;
  }

  /**
   * @param id of a stream that can be resumed: a line holds a hash of it, since the id itself is a part of what resumes it. Any other
   *   one has a name of its own there
   * @param written it is counted with all else of this turn of the event loop, and this is called then; else it is on file when this
   *   returns
   */
  opened(
    id: string | undefined,
    mode: StreamMode,
    { log, metrics, usage }: StreamBooks,
    written?: () => void,
  ): void {
    this.#stream = (id === undefined ? newRequestId() : hash("sha256", id, "base64url")).slice(0, 11);
    this.#mode = mode;
    this.#metrics = metrics;
    this.#openedAt = performance.now();
    this.#movedAt = this.#openedAt;
    metrics.opened(mode, this.timings);
    this.#usage = usage;
    if (written === undefined) usage.stream(this.claims!.sub);
    else usage.streamInTurn(this.claims!.sub, written);
    usage.began(this, true);
    const ms = rounded({ ...this.timings, total: this.totalMs });
    log.info(Object.assign(this.#head, { decision: "relayed", ms }), "stream opened");
  }

  /** Nothing more will happen; `error` says why, if it was not both sides' end. */
  closed(log: Logger): void {
    this.slot?.leave();
    this.#usage?.ended(this);
    const reason = this.error?.code ?? "done";
    this.#metrics?.closed(reason);
    const { up, down, resumes } = this;
    const ms = rounded({ total: performance.now() - this.#openedAt });
    const line = Object.assign(this.#head, { reason, bytes_up: up, bytes_down: down, resumes, ms });
    log.info(line, "stream closed");
  }

  /** A connection took over. */
  resumed(log: Logger): void {
    this.resumes++;
    this.#metrics?.resumed();
    log.debug({ ...this.#head, resumes: this.resumes }, "stream resumed");
  }

  /** No stream came of it. */
  refused(log: Logger, metrics: StreamMetrics, usage: Usage): void {
    this.count(usage);
    this.slot?.leave();
    metrics.refused(this.error?.code ?? "node_internal");
    const ms = rounded({ ...this.timings, total: this.totalMs });
    this.write(log, { ...this.#head, decision: "refused", ms }, "stream refused");
  }

  get #head() {
    return { door: this.#door, stream: this.#stream, mode: this.#mode, ...this.line };
  }
}
