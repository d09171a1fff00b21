import type { Duplex } from "node:stream";
import { RelayError } from "../protocol/errors.ts";
import { Heartbeat } from "../protocol/heartbeat.ts";
import { RAW_MESSAGE_MAX_BYTES } from "../protocol/limits.ts";
import type { NodeStream, StreamParts } from "./held-stream.ts";
import { RAW_CLOSE_MS, RAW_UNREAD_MS, STREAM_CLOSE_MS, STREAM_TURN_BYTES } from "./limits.ts";
import { reset } from "./reset.ts";
import type { UpgradedSocket } from "./stream-connection.ts";
import type { StreamAccount } from "./stream-account.ts";
import { targetFailure } from "./target-failure.ts";
import { SocketReader } from "./socket-reader.ts";
import { SocketWriter } from "./socket-writer.ts";
import { STREAM_BLOCKS } from "./stream-blocks.ts";
import { ServerSocket, type SocketBounds } from "./websocket/server-socket.ts";

/** Closed on purpose, or because a page was left, or without a word on why (RFC 6455 section 7.4.1). */
const ORDERLY: ReadonlySet<number> = new Set([1_000, 1_001, 1_005]);

/** What a client has not read stands before the close. */
const BOUNDS: SocketBounds = {
  maxMessage: RAW_MESSAGE_MAX_BYTES,
  closeMs: RAW_UNREAD_MS,
};

/**
 *   client ──messages──▶ SocketWriter ──▶ target
 *   client ◀──messages── SocketReader ◀── target
 *
 * A stream without a protocol of its own: messages are bytes, and whoever is slow is waited for by not reading the other.
 * It can't be resumed. WebSocket has no half-close: a client that closes has said all, and hears no more.
 */
export class RawStream implements NodeStream {
  readonly #parts: StreamParts;
  readonly #wire: Duplex;
  readonly #socket: ServerSocket;
  readonly #heart = new Heartbeat(performance.now());
  readonly #reader: SocketReader;
  readonly #writer: SocketWriter;
  #heardAt = performance.now();
  /** Bytes were sent since the client was last heard of: it may be reading them still. */
  #isUnread = false;
  /** When the WebSocket was closed. */
  #closedAt: number | undefined;
  /** When it ended. */
  #overAt: number | undefined;

  constructor(parts: StreamParts, upgraded: UpgradedSocket) {
    this.#parts = parts;
    const { account, target } = parts;
    const { wire, head } = upgraded;
    this.#wire = wire;
    this.#writer = new SocketWriter(
      target,
      {
        mustRest: () => account.inDebt,
        written: (bytes) => {
          account.moved("up", bytes);
          this.#slowDown();
        },
      },
      STREAM_BLOCKS,
    );
    this.#reader = new SocketReader(target, {
      room: () => this.#roomNow(),
      data: (chunk) => {
        // Nobody is there to read what comes after the close.
        if (this.#closedAt !== undefined) return;
        account.moved("down", chunk.length);
        this.#isUnread = true;
        this.#socket.send(chunk);
      },
      end: () => this.#socket.close(1_000),
    });
    const onPaid = () => {
      this.#writer.goOn();
      this.#reader.goOn();
    };
    account.slot!.onPaid = onPaid;
    target.on("error", (error) => this.fail(targetFailure(error)));
    target.on("close", () => this.#onTargetClose());
    const take = (bytes: Buffer, isMore: boolean) => {
      this.#heard();
      this.#writer.write(bytes, isMore);
      this.#slowDown();
    };
    this.#socket = new ServerSocket(wire, head, BOUNDS, {
      bytes: (piece, isLast) => take(piece, !isLast),
      text: (message) => take(message, false),
      sign: () => this.#heard(),
      broken: (cause) => {
        this.fail(new RelayError("stream_protocol", `WebSocket: ${cause.message}`, { cause }));
      },
      closed: (code) => this.#onClose(code),
    });
    wire.on("drain", () => this.#reader.goOn());
    this.#reader.goOn();
  }

  get account(): StreamAccount {
    return this.#parts.account;
  }

  get isOver(): boolean {
    return this.#overAt !== undefined;
  }

  get isClosed(): boolean {
    return this.isOver && this.#socket.isClosed;
  }

  tick(now: number): void {
    if (this.#overAt !== undefined) {
      // A failure need not wait for what was not read.
      if (now - this.#overAt >= STREAM_CLOSE_MS) this.#socket.terminate();
      return;
    }
    if (this.#closedAt !== undefined) {
      if (now - this.#closedAt >= RAW_CLOSE_MS) this.#finish(undefined);
      return;
    }
    const socket = this.#socket;
    const overdue = this.#parts.account.overdue(now);
    if (overdue !== undefined) this.fail(overdue);
    // What isn't read can't be heard.
    else if (socket.isPaused) this.#heard();
    else this.#listen(now);
  }

  fail(error: RelayError): void {
    this.#finish(error);
  }

  destroy(): void {
    this.#socket.terminate();
    this.#parts.target.destroy();
  }

  #heard(): void {
    this.#heardAt = performance.now();
    this.#isUnread = false;
    this.#heart.heard(this.#heardAt);
  }

  #listen(now: number): void {
    const verdict = this.#heart.look(now, false);
    if (verdict === "ask") this.#socket.ping();
    // A reader that rests leaves our question lying behind what it has not read.
    if (verdict === "lost" && (!this.#isUnread || now - this.#heardAt >= RAW_UNREAD_MS)) {
      this.fail(new RelayError("stream_lost", "the client answers no more"));
    }
  }

  /** Reads the client as far as the target takes it. */
  #slowDown(): void {
    const socket = this.#socket;
    if (this.#writer.size >= STREAM_TURN_BYTES) socket.pause();
    else if (socket.isPaused) socket.resume();
  }

  #roomNow(): number {
    if (this.#closedAt !== undefined) return STREAM_TURN_BYTES;
    const mustRest = this.#wire.writableNeedDrain || this.#parts.account.inDebt;
    return mustRest ? 0 : STREAM_TURN_BYTES;
  }

  #onClose(code: number): void {
    const { target, onClosed } = this.#parts;
    if (this.isOver) onClosed();
    else if (ORDERLY.has(code) || (target.readableEnded && code !== 1_006)) {
      this.#closedAt = performance.now();
      this.#writer.end();
      this.#reader.goOn();
      if (target.destroyed) this.#onTargetClose();
    } else if (code === 1_006) {
      this.fail(new RelayError("stream_lost", "the WebSocket broke"));
    } else this.fail(new RelayError("stream_cancelled", `the client closed with ${code}`));
  }

  /** Without an error: both sides have ended, or it was destroyed by what ended the stream. */
  #onTargetClose(): void {
    if (this.#closedAt !== undefined) this.#finish(undefined);
    else if (!this.#parts.target.readableEnded) {
      this.fail(new RelayError("target_reset", "the connection to the target was closed"));
    }
  }

  #finish(error: RelayError | undefined): void {
    if (this.isOver) return;
    this.#overAt = performance.now();
    const { account, target, onOver, onClosed } = this.#parts;
    account.error = error;
    if (error !== undefined) this.#socket.close(1_011, error.code);
    this.#writer.drop();
    reset(target);
    onOver();
    if (this.isClosed) onClosed();
  }
}
