import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { RelayError, withReached } from "../protocol/errors.ts";
import type { GrantClaims } from "../protocol/grants.ts";
import { STREAM_RESUME_SECONDS, STREAM_TICK_MS } from "../protocol/limits.ts";
import type { TunnelTarget } from "../protocol/targets.ts";
import type { NodeContext } from "./context.ts";
import { STREAM_PARKED_SECONDS, STREAMS_MAX, STREAMS_PARKED_MAX } from "./limits.ts";
import { Members } from "./members.ts";
import { PROXY_HALF_CLOSED_MS, PROXY_TUNNELS_MAX } from "./proxy/limits.ts";
import type { Dialed } from "./dialer.ts";
import { HeldStream, type NodeStream, type StreamParts } from "./held-stream.ts";
import type { Connection } from "./tcp/connection.ts";
import type { Metrics } from "./metrics.ts";
import { type ParkedParts, ParkedStream } from "./parked-stream.ts";
import { ProxyTunnel } from "./proxy/proxy-tunnel.ts";
import { RawStream } from "./raw-stream.ts";
import type { StreamAccount, StreamMode } from "./stream-account.ts";
import type { StreamConnection, UpgradedSocket } from "./stream-connection.ts";
import { StreamDoor } from "./stream-door.ts";
import { StreamMetrics } from "./stream-metrics.ts";

/** How long a node keeps streams, in milliseconds, and how many; what the limits have where nothing else is said. */
export interface StreamBounds {
  /** How often the clock is looked at. */
  readonly tickMs: number;
  /** How long a stream without a connection is kept, and how long it is known how one ended. */
  readonly resumeMs: number;
  /** Streams of the stream door at once. */
  readonly maxStreams: number;
  /** Tunnels of the proxy door at once. */
  readonly maxTunnels: number;
  /** Paths that wait for the word to dial, of all clients. */
  readonly maxParked: number;
  /** How long such a path waits, in seconds. */
  readonly parkedSeconds: number;
  /** How long a tunnel of which one side has ended stands where nothing moves in the other direction. */
  readonly halfClosedMs: number;
}

const BOUNDS: StreamBounds = {
  tickMs: STREAM_TICK_MS,
  resumeMs: STREAM_RESUME_SECONDS * 1_000,
  maxStreams: STREAMS_MAX,
  maxTunnels: PROXY_TUNNELS_MAX,
  maxParked: STREAMS_PARKED_MAX,
  parkedSeconds: STREAM_PARKED_SECONDS,
  halfClosedMs: PROXY_HALF_CLOSED_MS,
};

/** What a stream takes its place among: each door has its own share of a node. */
export type StreamKind = "stream" | "tunnel";

/** A stream that is being opened. */
export interface Opening {
  readonly kind: StreamKind;
  /** Whether it is asked for by the request of that client and id. */
  is(clientId: string, requestId: string): boolean;
  /** Gives it up. */
  abort(error: RelayError): void;
}

/** All streams of a node, by whichever door they came: those that are being opened, those that run, and, for a while, how others ended. */
export class Streams {
  readonly metrics: StreamMetrics;
  readonly #node: NodeContext;
  readonly #log: Logger;
  readonly #bounds: StreamBounds;
  readonly #onEnd: () => void;
  readonly #openings = new Members<Opening>();
  readonly #parked = new Set<ParkedStream>();
  readonly #held = new Map<string, HeldStream>();
  /** Those that can't be resumed. */
  readonly #plain = new Members<NodeStream>();
  /** Tunnels that are counted at the end of this turn, and run then. */
  #beginning = 0;
  /** Those that run or are being opened. */
  readonly #taken: Record<StreamKind, number> = { stream: 0, tunnel: 0 };
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
    const open = () => this.#beginning + this.#count((stream) => !stream.isOver);
    const parked = () => this.#parked.size;
    this.metrics = new StreamMetrics(metrics.registry, { open, detached, parked }, metrics.observe);
  }

  /** Streams under way, from the question for one until its client's connection has gone. */
  get size(): number {
    return this.#openings.size + this.#beginning + this.#count((stream) => !stream.isClosed);
  }

  /** Takes a request to upgrade. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const door = new StreamDoor(this.#node, this, request, socket, head);
    void this.opening(door, () => door.serve());
  }

  /** Counts one that is being opened as under way before `work` begins and until it is done, and ends it with the node. */
  async opening<T>(opening: Opening, work: () => Promise<T>): Promise<T> {
    const place = this.#openings.enter(opening);
    this.#taken[opening.kind]++;
    try {
      return await work();
    } finally {
      place.leave();
      this.#taken[opening.kind]--;
      this.#onEnd();
    }
  }

  /** Gives up the opening of a client's stream. */
  cancel(clientId: string, requestId: string, error: RelayError): void {
    for (const opening of [...this.#openings, ...this.#parked]) {
      if (opening.is(clientId, requestId)) opening.abort(error);
    }
  }

  /** Keeps a path until it is told to dial, or for as long as one may wait. It is not under way: nothing is lost with it. */
  park(parts: ParkedParts, upgraded: UpgradedSocket): void {
    this.#parked.add(new ParkedStream({ ...parts, seconds: this.#bounds.parkedSeconds }, upgraded));
  }

  /** It waits no longer. */
  unpark(parked: ParkedStream): void {
    this.#parked.delete(parked);
  }

  /** @throws RelayError `node_full` */
  assertParkingRoom(): void {
    const { maxParked } = this.#bounds;
    if (this.#parked.size < maxParked) return;
    throw new RelayError("node_full", `${maxParked} streams are parked here, as many as may be`);
  }

  /** Ends those that wait: a path that nobody uses keeps no node from going. */
  endParked(error: RelayError): void {
    for (const parked of this.#parked) parked.abort(error);
  }

  /** Keeps a stream that was opened, and gives it its first connection. */
  openHeld(account: StreamAccount, dialed: Dialed, upgraded: UpgradedSocket): void {
    const stream = this.#hold(account, dialed);
    stream.connect(upgraded, 0);
    carries(stream, account);
  }

  /** The same of one whose connection was there before, under an id that was told. */
  openParked(
    account: StreamAccount,
    dialed: Dialed,
    id: string,
    connection: StreamConnection,
    early: readonly (Uint8Array | string)[],
  ): void {
    const stream = this.#hold(account, dialed, id);
    stream.adopt(connection, early);
    carries(stream, account);
  }

  #hold(account: StreamAccount, { socket }: Dialed, id?: string): HeldStream {
    const parts = {
      account,
      target: socket,
      onOver: () => this.#over(account, "stream"),
      onClosed: () => this.#onEnd(),
    };
    const stream = new HeldStream(parts, this.#node.config.id, this.#bounds.resumeMs, id);
    this.#held.set(stream.id, stream);
    this.#taken.stream++;
    account.opened(stream.id, "v1", this.#books);
    this.#tick();
    return stream;
  }

  /** The same without a protocol. */
  openRaw(account: StreamAccount, { socket }: Dialed, upgraded: UpgradedSocket): void {
    this.#taken.stream++;
    account.opened(undefined, "raw", this.#books);
    this.#carry(account, "stream", socket, (parts) => new RawStream(parts, upgraded));
  }

  /**
   * Keeps a tunnel of the proxy door.
   * @param client speaks the user's bytes; half-open capable, and paused
   * @param head what came of them already
   * @param counted the tunnel may wait for the end of this turn of the event loop, when all are counted on file together: this is called
   *   then, before a byte passes. Whoever can wait for it lets errors of both sides end nothing until then
   */
  openTunnel(
    account: StreamAccount,
    mode: StreamMode,
    { socket }: Dialed<Connection>,
    client: Connection,
    head: Buffer,
    counted?: () => void,
  ): void {
    this.#taken.tunnel++;
    const { halfClosedMs } = this.#bounds;
    const carry = () =>
      this.#carry(account, "tunnel", socket, (parts) => new ProxyTunnel(parts, client, head, halfClosedMs));
    if (counted === undefined) {
      account.opened(undefined, mode, this.#books);
      carry();
      return;
    }
    this.#beginning++;
    account.opened(undefined, mode, this.#books, () => {
      this.#beginning--;
      counted();
      carry();
    });
  }

  get #books() {
    return { log: this.#log, metrics: this.metrics, usage: this.#node.usage };
  }

  #carry<Target>(
    account: StreamAccount,
    kind: StreamKind,
    target: Target,
    make: (parts: StreamParts<Target>) => NodeStream,
  ): void {
    const parts = {
      account,
      target,
      onOver: () => this.#over(account, kind),
      onClosed: () => {
        place.leave();
        this.#onEnd();
      },
    };
    const stream = make(parts);
    const place = this.#plain.enter(stream);
    this.#tick();
    carries(stream, account);
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
   * Whether one more may be opened, that of whoever asks among them.
   * @throws RelayError `node_full`
   */
  assertRoom(kind: StreamKind): void {
    const { maxStreams, maxTunnels } = this.#bounds;
    const most = kind === "stream" ? maxStreams : maxTunnels;
    if (this.#taken[kind] <= most) return;
    throw new RelayError("node_full", `the node carries ${most} ${kind}s, as many as it may`);
  }

  #over(account: StreamAccount, kind: StreamKind): void {
    this.#taken[kind]--;
    account.closed(this.#log);
  }

  refused(account: StreamAccount): void {
    account.refused(this.#log, this.metrics, this.#node.usage);
  }

  resumed(account: StreamAccount): void {
    account.resumed(this.#log);
  }

  /** Ends all with a typed error, as when the node has to go. */
  fail(error: RelayError): void {
    for (const opening of [...this.#openings, ...this.#parked]) opening.abort(error);
    for (const stream of this.#all()) stream.fail(error);
  }

  /** Ends those of clients that may use nothing more this month. */
  overQuota(clients: ReadonlySet<string>): void {
    const why = "the client's quota for this month is used up";
    const error = new RelayError("quota_exceeded", why, { reached: "yes" });
    for (const stream of this.#all()) {
      if (clients.has(stream.account.claims?.sub ?? "")) stream.fail(error);
    }
    const before = withReached(error, "no");
    for (const parked of this.#parked) if (clients.has(parked.clientId)) parked.abort(before);
  }

  /** Cuts whatever stands. */
  close(): void {
    clearInterval(this.#ticking);
    for (const opening of this.#openings) opening.abort(new RelayError("node_draining", "the node has gone"));
    for (const stream of this.#all()) stream.destroy();
    for (const parked of this.#parked) parked.destroy();
    this.#held.clear();
    this.#plain.clear();
  }

  *#all(): Generator<NodeStream> {
    yield* this.#held.values();
    yield* this.#plain;
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
      if (this.#held.size > 0 || this.#plain.size > 0) return;
      clearInterval(this.#ticking);
      this.#ticking = undefined;
    }, this.#bounds.tickMs);
  }
}

/** What was being opened runs: it is ended now where its grant is revoked. */
function carries(stream: NodeStream, { slot }: StreamAccount): void {
  slot?.standing?.handOver((error) => stream.fail(error));
}
