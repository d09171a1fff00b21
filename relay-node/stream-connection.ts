import type { Duplex } from "node:stream";
import { RelayError } from "../protocol/errors.ts";
import { Heartbeat } from "../protocol/heartbeat.ts";
import { STREAM_MESSAGE_MAX_BYTES, STREAM_WINDOW_BYTES } from "../protocol/limits.ts";
import type { StreamPort } from "../protocol/stream-end.ts";
import { STREAM_CLOSE_MS, STREAM_CONTROL_UNREAD_BYTES } from "./limits.ts";
import { SentBlocks } from "./stream-blocks.ts";
import { ServerSocket, type SocketBounds } from "./websocket/server-socket.ts";

/** A connection that was answered 101 and is a WebSocket from now on, and what came of it already. It is paused. */
export interface UpgradedSocket {
  readonly wire: Duplex;
  readonly head: Buffer;
}

/** What may lie unread of bytes: no more than the window, sent and sent again. */
const UNREAD_MAX_BYTES = 2 * STREAM_WINDOW_BYTES + STREAM_CONTROL_UNREAD_BYTES;

/** What may lie unread of control messages, each of which costs far more memory than it has bytes. */
const CONTROLS_UNREAD_MAX = STREAM_CONTROL_UNREAD_BYTES / 256;

const BOUNDS: SocketBounds = {
  maxMessage: STREAM_MESSAGE_MAX_BYTES,
  closeMs: STREAM_CLOSE_MS,
};

/** What a connection tells the stream that it carries. */
export interface StreamConnectionEvents {
  /**
   * A control message, or a piece of a binary one, which has to be copied where it is to stay.
   * @param isMore whether more of the same is under way
   */
  message(message: Uint8Array | string, isMore: boolean): void;
  /** What was written has left. */
  room(): void;
  /** The other end broke the rules of WebSocket. */
  broken(error: RelayError): void;
  lost(): void;
}

/** One connection of a stream under `holdfast.stream.v1`. Once it is cut nothing more is heard of it. */
export class StreamConnection implements StreamPort {
  readonly #socket: ServerSocket;
  readonly #wire: Duplex;
  readonly #sentBlocks = new SentBlocks();
  readonly #heart = new Heartbeat(performance.now());
  #events: StreamConnectionEvents;
  #isCut = false;
  #controlsUnread = 0;

  constructor({ wire, head }: UpgradedSocket, events: StreamConnectionEvents) {
    this.#wire = wire;
    this.#events = events;
    const take = (message: Uint8Array | string, isMore: boolean) => {
      if (this.#isCut) return;
      this.#heart.heard(performance.now());
      this.#events.message(message, isMore);
    };
    this.#socket = new ServerSocket(wire, head, BOUNDS, {
      bytes: (piece, isLast) => take(piece, !isLast),
      text: (message) => take(message.toString("utf8"), false),
      sign: () => {},
      broken: (cause) => {
        if (this.#isCut) return;
        this.#events.broken(new RelayError("stream_protocol", `WebSocket: ${cause.message}`, { cause }));
      },
      closed: () => {
        if (this.#isCut) return;
        this.#isCut = true;
        this.#events.lost();
      },
    });
    wire.on("drain", () => {
      if (!this.#isCut) this.#events.room();
    });
  }

  /** Somebody else is told from now on. */
  handTo(events: StreamConnectionEvents): void {
    this.#events = events;
  }

  /** Reads no more: what comes waits in the connection. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Whether what was written has yet to leave. */
  get isFull(): boolean {
    return this.#wire.writableNeedDrain;
  }

  /** Takes back a block of which nothing will be sent any more. */
  takeBack(block: Uint8Array): void {
    if (!this.#isCut) this.#sentBlocks.give(block);
  }

  send(message: Uint8Array | string, hasRoom = false): void {
    if (this.#isCut) return;
    // Answers to pings pile up where nobody reads them.
    if (this.#controlsUnread >= CONTROLS_UNREAD_MAX || this.#socket.bufferedAmount > UNREAD_MAX_BYTES) {
      this.#socket.terminate();
      return;
    }
    const onLeft = this.#sentBlocks.sending();
    if (typeof message !== "string") this.#socket.send(message, onLeft, hasRoom);
    else {
      this.#controlsUnread++;
      this.#socket.send(message, () => {
        this.#controlsUnread--;
        onLeft();
      });
    }
  }

  /** What is to be done about a silence. */
  look(now: number, isWaiting: boolean): "fine" | "ask" | "lost" {
    return this.#heart.look(now, isWaiting);
  }

  /** Closes it behind what was sent. */
  close(error?: RelayError): void {
    if (error === undefined) this.#socket.close(1_000);
    else this.#socket.close(1_011, error.code);
  }

  /** Ends it at once. */
  cut(): void {
    this.#isCut = true;
    this.#socket.terminate();
  }
}
