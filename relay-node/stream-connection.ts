import type { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";
import { RelayError } from "../protocol/errors.ts";
import { Heartbeat } from "../protocol/heartbeat.ts";
import { STREAM_WINDOW_BYTES } from "../protocol/limits.ts";
import type { StreamPort } from "../protocol/stream-end.ts";
import { STREAM_CONTROL_UNREAD_BYTES } from "./limits.ts";

/** A WebSocket, and the socket under it, which tells when there is room again. */
export interface UpgradedSocket {
  readonly socket: WebSocket;
  readonly wire: Duplex;
}

/** What a connection tells the stream that it carries. */
export interface StreamConnectionEvents {
  message(message: Uint8Array | string): void;
  /** What was written has left. */
  room(): void;
  /** The other end broke the rules of WebSocket. */
  broken(error: RelayError): void;
  lost(): void;
}

/** One connection of a stream under `holdfast.stream.v1`. Once it is cut nothing more is heard of it. */
export class StreamConnection implements StreamPort {
  readonly #socket: WebSocket;
  readonly #wire: Duplex;
  readonly #heart = new Heartbeat(performance.now());
  #isCut = false;

  constructor({ socket, wire }: UpgradedSocket, events: StreamConnectionEvents) {
    this.#socket = socket;
    this.#wire = wire;
    socket.on("message", (data: RawData, isBinary: boolean) => {
      if (this.#isCut) return;
      this.#heart.heard(performance.now());
      // As the server is set up, a message is one Buffer.
      const bytes = data as Buffer;
      events.message(isBinary ? bytes : bytes.toString("utf8"));
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // What breaks on the way is a loss, and told by `close`.
      if (this.#isCut || error.code?.startsWith("WS_ERR_") !== true) return;
      events.broken(new RelayError("stream_protocol", `WebSocket: ${error.code}`, { cause: error }));
    });
    socket.on("close", () => {
      if (this.#isCut) return;
      this.#isCut = true;
      events.lost();
    });
    wire.on("drain", () => {
      if (!this.#isCut) events.room();
    });
  }

  /** Whether what was written has yet to leave. */
  get isFull(): boolean {
    return this.#wire.writableNeedDrain;
  }

  send(message: Uint8Array | string): void {
    if (this.#isCut) return;
    // Bytes are bounded by the window; answers to pings are not, where nobody reads them.
    if (this.#socket.bufferedAmount > 2 * STREAM_WINDOW_BYTES + STREAM_CONTROL_UNREAD_BYTES) {
      this.#socket.terminate();
      return;
    }
    this.#socket.send(message);
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
