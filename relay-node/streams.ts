import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { RelayError } from "../protocol/errors.ts";
import type { GrantClaims } from "../protocol/grants.ts";
import { STREAM_RESUME_SECONDS, STREAM_TICK_MS } from "../protocol/limits.ts";
import type { TunnelTarget } from "../protocol/targets.ts";
import { newRequestId } from "../protocol/tokens.ts";
import type { NodeContext } from "./context.ts";
import { STREAMS_MAX } from "./limits.ts";
import type { Dialed } from "./dialer.ts";
import { HeldStream, type NodeStream } from "./held-stream.ts";
import type { Metrics } from "./metrics.ts";
import { RawStream } from "./raw-stream.ts";
import type { StreamAccount } from "./stream-account.ts";
import type { UpgradedSocket } from "./stream-connection.ts";
import { StreamDoor } from "./stream-door.ts";
import { StreamMetrics } from "./stream-metrics.ts";

/** How long a node keeps streams, in milliseconds, and how many; what the limits have where nothing else is said. */
export interface StreamBounds {
  /** How often the clock is looked at. */
  readonly tickMs: number;
  /** How long a stream without a connection is kept, and how long it is known how one ended. */
  readonly resumeMs: number;
  /** Streams at once. */
  readonly maxStreams: number;
}

const BOUNDS: StreamBounds = {
  tickMs: STREAM_TICK_MS,
  resumeMs: STREAM_RESUME_SECONDS * 1_000,
  maxStreams: STREAMS_MAX,
};

/** All streams of a node: those that are being opened, those that run, and, for a while, how others ended. */
export class Streams {
  readonly metrics: StreamMetrics;
  readonly #node: NodeContext;
  readonly #log: Logger;
  readonly #bounds: StreamBounds;
  readonly #onEnd: () => void;
  readonly #doors = new Set<StreamDoor>();
  readonly #held = new Map<string, HeldStream>();
  readonly #raw = new Set<RawStream>();
  /** Streams that run. */
  #running = 0;
  /** Runs while there is anything to look at: one for all. */
  #ticking: NodeJS.Timeout | undefined;

  /** @param onEnd called when one is under way no longer */
  constructor(
    node: NodeContext,
    metrics: Metrics,
    log: Logger,
    onEnd: () => void,
    bounds: Partial<StreamBounds> = {},
  ) {
    this.#node = node;
    this.#log = log;
    this.#onEnd = onEnd;
    this.#bounds = { ...BOUNDS, ...bounds };
    const detached = () => this.#count((stream) => stream instanceof HeldStream && stream.isDetached);
    const open = () => this.#count((stream) => !stream.isOver);
    this.metrics = new StreamMetrics(metrics.registry, { open, detached }, metrics.observe);
  }

  /** Streams under way, from the question for one until its client's connection has gone. */
  get size(): number {
    return this.#doors.size + this.#count((stream) => !stream.isClosed);
  }

  /** Takes a request to upgrade. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const door = new StreamDoor(this.#node, this, request, socket, head);
    this.#doors.add(door);
    void door.serve().finally(() => {
      this.#doors.delete(door);
      this.#onEnd();
    });
  }

  /** Gives up the opening of a client's stream. */
  cancel(clientId: string, requestId: string, error: RelayError): void {
    for (const door of this.#doors) if (door.is(clientId, requestId)) door.abort(error);
  }

  /** Keeps a stream that was opened, and gives it its first connection. */
  openHeld(account: StreamAccount, { socket }: Dialed, upgraded: UpgradedSocket): void {
    const parts = {
      account,
      target: socket,
      onOver: () => this.#over(account),
      onClosed: () => this.#onEnd(),
    };
    const stream = new HeldStream(parts, this.#node.config.id, this.#bounds.resumeMs);
    this.#held.set(stream.id, stream);
    this.#running++;
    account.opened(stream.id, "v1", this.#log, this.metrics);
    this.#tick();
    stream.connect(upgraded, 0);
  }

  /** The same without a protocol. */
  openRaw(account: StreamAccount, { socket }: Dialed, upgraded: UpgradedSocket): void {
    this.#running++;
    account.opened(newRequestId(), "raw", this.#log, this.metrics);
    const parts = {
      account,
      target: socket,
      onOver: () => this.#over(account),
      onClosed: () => {
        this.#raw.delete(stream);
        this.#onEnd();
      },
    };
    const stream = new RawStream(parts, upgraded);
    this.#raw.add(stream);
    this.#tick();
  }

  /**
   * The stream that a client wants to go on with.
   * @throws RelayError `stream_unknown`, whatever is wrong: another client's or target's is as unknown as none
   */
  find({ sub, resume }: GrantClaims, target: TunnelTarget): HeldStream {
    const stream = this.#held.get(resume!.stream);
    if (stream?.isOf(sub, target) === true) return stream;
    throw new RelayError(
      "stream_unknown",
      "no stream of this id, client and target is known here, or not any more",
    );
  }

  /**
   * Whether one more may be opened, that of the door which asks among them.
   * @throws RelayError `node_full`
   */
  assertRoom(): void {
    const { maxStreams } = this.#bounds;
    if (this.#running + this.#doors.size <= maxStreams) return;
    throw new RelayError("node_full", `the node carries ${maxStreams} streams, as many as it may`);
  }

  #over(account: StreamAccount): void {
    this.#running--;
    account.closed(this.#log);
  }

  refused(account: StreamAccount): void {
    account.refused(this.#log, this.metrics);
  }

  resumed(account: StreamAccount): void {
    account.resumed(this.#log);
  }

  /** Ends all with a typed error, as when the node has to go. */
  fail(error: RelayError): void {
    for (const door of this.#doors) door.abort(error);
    for (const stream of this.#all()) stream.fail(error);
  }

  /** Cuts whatever stands. */
  close(): void {
    clearInterval(this.#ticking);
    for (const door of this.#doors) door.abort(new RelayError("node_draining", "the node has gone"));
    for (const stream of this.#all()) stream.destroy();
    this.#held.clear();
    this.#raw.clear();
  }

  *#all(): Generator<NodeStream> {
    yield* this.#held.values();
    yield* this.#raw;
  }

  #count(which: (stream: NodeStream) => boolean): number {
    let count = 0;
    for (const stream of this.#all()) if (which(stream)) count++;
    return count;
  }

  #tick(): void {
    this.#ticking ??= setInterval(() => {
      const now = performance.now();
      for (const stream of this.#all()) stream.tick(now);
      for (const [id, stream] of this.#held) if (stream.isForgotten(now)) this.#held.delete(id);
      if (this.#held.size > 0 || this.#raw.size > 0) return;
      clearInterval(this.#ticking);
      this.#ticking = undefined;
    }, this.#bounds.tickMs);
  }
}
