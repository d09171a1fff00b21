import { Heartbeat } from "../protocol/heartbeat.ts";
import { isRelayError, RelayError, withReached } from "../protocol/errors.ts";
import { STREAM_RESUME_SECONDS, STREAM_TICK_MS } from "../protocol/limits.ts";
import { isNodesOwnFault } from "../protocol/node-faults.ts";
import { StreamEnd, type StreamEvents } from "../protocol/stream-end.ts";
import type { OpenMessage, ParkedMessage } from "../protocol/stream-messages.ts";
import { tunnelUrl } from "../protocol/targets.ts";
import {
  SPARE_WORD_MS,
  STREAM_CLOSE_MS,
  STREAM_LINGER_MS,
  STREAM_OPEN_MS,
  STREAM_REOPEN_MS,
  STREAM_RESUME_EXTRA_MS,
  STREAM_SEND_BYTES,
  STREAM_STEADY_MS,
  STREAM_WINDOW_MAX_BYTES,
} from "./limits.ts";
import {
  type ConnectionEvents,
  StreamConnection,
  type StreamRequest,
  type StreamSigner,
} from "./stream-connection.ts";
import { mayPass, retryDelay } from "./stream-retry.ts";
import type { SparePath, Spares } from "./stream-spares.ts";
import { keepAlive } from "./timers.ts";

/** Everything that streams of one relay have in common. */
export interface StreamSettings extends StreamSigner {
  /** How long a stream whose connection is lost is tried to be taken up again, in milliseconds. Default: as long as a node keeps it. */
  readonly resumeMs?: number;
  /** Paths that are opened ahead of streams. */
  readonly spares?: Spares;
}

/** A host and a port, as the app gives them. */
export interface StreamTarget {
  readonly host: string;
  readonly port: number;
}

/** What a session tells its owner. After `reset` or `done` nothing more comes. */
export interface SessionEvents extends StreamEvents {
  /** The node is connected to the target; once, before all else but `reset`. */
  opened(message: OpenMessage): void;
}

/**
 * A stream as an app's end has it: by one connection after the other, for as long as its node keeps it. This is the policy; a
 * `StreamConnection` is one attempt.
 *
 *   dialling, by a path that stood, and then as ever where that came to nothing
 *      ▼
 *   opening ──open──▶ connected ──lost──▶ waiting ──open──▶ connected …
 *      └─ refused ─▶ over ◀─ done, reset ─┘   └─ too long, refused ─▶ over
 */
export class StreamSession {
  readonly #settings: StreamSettings;
  readonly #events: SessionEvents;
  readonly #ticks: ReturnType<typeof setInterval>;
  readonly #url: string = "";
  #connection: StreamConnection | undefined;
  #end: StreamEnd | undefined;
  #window = 0;
  #opened: OpenMessage | undefined;
  /** Of the path that stood before, until the stream is open. */
  #parked: ParkedMessage | undefined;
  #heart = new Heartbeat(0);
  readonly #startedAt = performance.now();
  /** When the current connection opened, and when the last one was lost. */
  #openedAt = 0;
  #lostAt: number | undefined;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** When its owner left, or what was sent was last seen to arrive since then. */
  #closingAt: number | undefined;
  #ackedThen = 0;
  /** Ended by its own owner's wish, which is no failure. */
  #isLetGo = false;
  #isOver = false;
  #keepsAlive = true;

  constructor({ host, port }: StreamTarget, settings: StreamSettings, events: SessionEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#ticks = setInterval(() => this.#tick(performance.now()), STREAM_TICK_MS);
    keepAlive(this.#ticks, false);
    try {
      this.#url = tunnelUrl(host, port);
      const spare = settings.spares?.take(this.#url);
      if (spare === undefined) this.#connect(STREAM_OPEN_MS);
      else this.#dial(spare);
    } catch (error) {
      const failure = asRelayError(error);
      // Told like any other failure, once the owner has got hold of what it asked for.
      queueMicrotask(() => this.#fail(failure));
    }
  }

  /** Whether bytes may be sent ahead of its being open: they go to the target as soon as it is, or nowhere. */
  get isEarly(): boolean {
    return this.#end !== undefined && !this.#isOver;
  }

  /** Bytes that may be sent now. */
  get room(): number {
    return this.#closingAt === undefined ? (this.#end?.room ?? 0) : 0;
  }

  /**
   * Sends bytes, which must not be changed afterwards.
   * @throws Error where there is no room for them
   */
  send(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at += STREAM_SEND_BYTES) {
      this.#end!.send(chunk.subarray(at, at + STREAM_SEND_BYTES));
    }
  }

  /** Says that nothing more will be sent. */
  finish(): void {
    this.#end?.finish();
  }

  /** The owner has dealt with so many bytes. */
  consumed(bytes: number): void {
    if (!this.#isOver) this.#end?.consumed(bytes);
  }

  /** Gives the stream up at once. */
  reset(error: RelayError): void {
    this.#fail(error);
  }

  /**
   * Nobody reads or writes any more: what was sent still arrives, what comes is dropped, and then it is over. Before it is open, what
   * went ahead is given up.
   */
  close(): void {
    if (this.#isOver || this.#closingAt !== undefined) return;
    if (this.#opened === undefined || this.#end === undefined) {
      this.#isLetGo = true;
      this.#fail(new RelayError("stream_cancelled", "the client gave the connection up"));
      return;
    }
    this.#closingAt = performance.now();
    this.#end.finish();
  }

  /** Whether the stream by itself keeps a process alive. */
  keepAlive(isWanted: boolean): void {
    this.#keepsAlive = isWanted;
    this.#connection?.keepAlive(isWanted);
    if (this.#retry !== undefined) keepAlive(this.#retry, isWanted);
  }

  /** Opens the stream by a path that stands: it takes bytes at once. */
  #dial({ connection, parked }: SparePath): void {
    this.#parked = parked;
    this.#connection = connection;
    this.#end = this.#newEnd(parked.window);
    connection.keepAlive(this.#keepsAlive);
    connection.handTo(this.#connectionEvents());
    connection.dial(SPARE_WORD_MS, STREAM_OPEN_MS);
    this.#end.attach(connection, 0);
  }

  #connect(deadlineMs: number): void {
    const opened = this.#opened;
    const end = this.#end;
    const request: StreamRequest = {
      url: this.#url,
      node: opened?.node ?? this.#settings.node,
      resume:
        opened === undefined || end === undefined
          ? undefined
          : { stream: opened.stream, received: end.received, sent: end.sent },
      deadlineMs,
    };
    this.#connection = new StreamConnection(
      this.#settings,
      request,
      this.#connectionEvents(),
      this.#keepsAlive,
    );
  }

  #connectionEvents(): ConnectionEvents {
    return {
      open: (message) => this.#open(message),
      message: (message) => {
        this.#heart.heard(performance.now());
        this.#end!.receive(message);
      },
      lost: (error, isWord) => this.#lost(error, isWord, performance.now()),
    };
  }

  #open(message: OpenMessage): void {
    const isFirst = this.#opened === undefined;
    if (message.window > STREAM_WINDOW_MAX_BYTES) {
      return this.#fail(broken(`a window of ${message.window} bytes is too large`));
    }
    const known = this.#opened ?? this.#parked;
    if (known !== undefined && known.stream !== message.stream) {
      return this.#fail(broken("the node went on with another stream"));
    }
    if (isFirst && this.#end !== undefined && this.#window !== message.window) {
      return this.#fail(broken("the node takes another window than that by which bytes were sent"));
    }
    const isAttached = this.#parked !== undefined;
    this.#parked = undefined;
    this.#opened ??= message;
    this.#end ??= this.#newEnd(message.window);
    this.#openedAt = performance.now();
    this.#heart = new Heartbeat(this.#openedAt);
    this.#lostAt = undefined;
    try {
      if (!isAttached) this.#end.attach(this.#connection!, message.received);
    } catch (error) {
      return this.#fail(asRelayError(error));
    }
    if (isFirst) this.#events.opened(message);
  }

  #newEnd(window: number): StreamEnd {
    this.#window = window;
    const events = this.#events;
    return new StreamEnd(window, {
      data: (chunk) => {
        if (this.#closingAt === undefined) events.data(chunk);
        else this.#end!.consumed(chunk.length);
      },
      fin: () => {
        if (this.#closingAt === undefined) events.fin();
      },
      room: () => {
        if (this.#closingAt === undefined) events.room();
      },
      reset: (error) => {
        this.#connection?.close();
        this.#failed(error);
      },
      done: () => {
        this.#over();
        this.#connection?.close();
        events.done();
      },
    });
  }

  #lost(error: RelayError, isWord: boolean, now: number): void {
    if (this.#isOver) return;
    this.#connection = undefined;
    this.#end?.detach();
    if (this.#parked !== undefined) {
      this.#parked = undefined;
      // What the node itself refuses it has sent nowhere, also where its path's time was up in just that moment; of a path that was
      // lost nobody knows.
      const isAnothers = isNodesOwnFault(error.code) || mayPass(error) || error.code === "stream_idle";
      const mayGoOn = isWord ? isAnothers : this.#end!.sent === 0;
      const left = this.#startedAt + STREAM_OPEN_MS - now;
      return mayGoOn && left > 0 ? this.#connect(left) : this.#fail(error);
    }
    if (this.#opened === undefined) {
      // Nothing of the app's was sent yet. What is lost late was waiting for a target, and its time is up.
      const isEarly = now - this.#startedAt < STREAM_REOPEN_MS;
      if (error.code === "edge_unreachable" && isEarly && this.#failures++ === 0) {
        return this.#connect(STREAM_OPEN_MS);
      }
      return this.#fail(error);
    }
    // That nothing was reached is true of this attempt alone.
    if (!mayPass(error)) return this.#fail(withReached(error, "yes"));
    if (this.#lostAt === undefined) {
      this.#lostAt = now;
      this.#failures = now - this.#openedAt >= STREAM_STEADY_MS ? 0 : 1;
    }
    const left = this.#lostAt + this.#resumeMs - now;
    const delay = Math.max(retryDelay(this.#failures++, Math.random()), (error.retryAfter ?? 0) * 1_000);
    this.#retry = setTimeout(
      () => {
        this.#retry = undefined;
        if (delay < left) this.#connect(Math.min(STREAM_REOPEN_MS, left - delay));
        else this.#fail(lostFor(this.#resumeMs, error));
      },
      Math.max(0, Math.min(delay, left)),
    );
    keepAlive(this.#retry, this.#keepsAlive);
  }

  get #resumeMs(): number {
    return this.#settings.resumeMs ?? STREAM_RESUME_SECONDS * 1_000 + STREAM_RESUME_EXTRA_MS;
  }

  #tick(now: number): void {
    const end = this.#end;
    const connection = this.#connection;
    if (this.#closingAt !== undefined) this.#letGo(now);
    if (end === undefined || connection === undefined || this.#lostAt !== undefined) return;
    if (this.#opened === undefined) return;
    end.acknowledge();
    const verdict = this.#heart.look(now, end.isWaiting);
    if (verdict === "ask") end.ping();
    if (verdict !== "lost") return;
    connection.terminate();
    this.#lost(new RelayError("edge_unreachable", "the relay fell silent"), false, now);
  }

  /** The owner left: the target has a while to end its side, too, since a reset could cost it what it has not read yet. */
  #letGo(now: number): void {
    const { acked, isWaiting } = this.#end!;
    if (acked > this.#ackedThen) {
      this.#ackedThen = acked;
      this.#closingAt = now;
    }
    if (now - this.#closingAt! < (isWaiting ? STREAM_LINGER_MS : STREAM_CLOSE_MS)) return;
    this.#isLetGo = !isWaiting;
    this.#fail(new RelayError("stream_cancelled", "the client closed the connection"));
  }

  #fail(error: RelayError): void {
    if (this.#isOver) return;
    if (this.#end !== undefined) return this.#end.reset(error);
    this.#connection?.terminate();
    this.#failed(error);
  }

  #failed(error: RelayError): void {
    this.#over();
    if (this.#isLetGo) this.#events.done();
    else this.#events.reset(error);
  }

  #over(): void {
    this.#isOver = true;
    clearInterval(this.#ticks);
    clearTimeout(this.#retry);
  }
}

function lostFor(ms: number, cause: RelayError): RelayError {
  return new RelayError("stream_lost", `no connection to the node for ${Math.round(ms / 1_000)} s`, {
    cause,
  });
}

function broken(why: string): RelayError {
  return new RelayError("stream_protocol", why);
}

function asRelayError(error: unknown): RelayError {
  if (isRelayError(error)) return error;
  throw error;
}
