import type { Duplex } from "node:stream";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import type { NodeStream, StreamParts } from "../held-stream.ts";
import { STREAM_TURN_BYTES } from "../limits.ts";
import { reset } from "../reset.ts";
import { SocketReader } from "../socket-reader.ts";
import { SocketWriter } from "../socket-writer.ts";
import type { StreamAccount } from "../stream-account.ts";
import { targetFailure } from "../target-failure.ts";

/**
 *   client ──SocketReader──▶ SocketWriter──▶ target
 *   client ◀──SocketWriter── SocketReader◀── target
 *
 * A tunnel of the proxy door: bytes both ways, at the pace of whoever is slower. Each end is passed on while the other
 * direction goes on, for as long as something moves there; a failure of one side resets the other one, so that nobody takes a
 * cut stream for a whole one.
 */
export class ProxyTunnel implements NodeStream {
  readonly #parts: StreamParts;
  readonly #client: Duplex;
  readonly #up: SocketWriter;
  readonly #down: SocketWriter;
  readonly #halfClosedMs: number;
  #movedAt = performance.now();
  #isOver = false;

  /**
   * @param client speaks the user's bytes; half-open capable, and paused
   * @param head what came of them already
   * @param halfClosedMs how long one side may say nothing once the other one has ended
   */
  constructor(parts: StreamParts, client: Duplex, head: Buffer, halfClosedMs: number) {
    this.#parts = parts;
    this.#halfClosedMs = halfClosedMs;
    this.#client = client;
    const { account, target } = parts;
    const mustRest = () => account.inDebt;
    const upReader = new SocketReader(client, {
      room: () => this.#room(this.#up),
      data: (chunk) => this.#up.write(chunk),
      end: () => this.#ended(this.#up),
    });
    const downReader = new SocketReader(target, {
      room: () => this.#room(this.#down),
      data: (chunk) => this.#down.write(chunk),
      end: () => this.#ended(this.#down),
    });
    this.#up = new SocketWriter(target, {
      mustRest,
      written: (bytes) => {
        this.#moved("up", bytes);
        upReader.goOn();
      },
    });
    this.#down = new SocketWriter(client, {
      mustRest,
      written: (bytes) => {
        this.#moved("down", bytes);
        downReader.goOn();
      },
    });
    account.slot!.onPaid = () => {
      for (const writer of [this.#up, this.#down]) writer.goOn();
    };
    target.on("error", (error) => this.fail(targetFailure(error)));
    client.on("error", (cause) => {
      const why = "the client's connection broke";
      this.fail(isRelayError(cause) ? cause : new RelayError("stream_cancelled", why, { cause }));
    });
    for (const side of [target, client]) side.on("close", () => this.#onClose(side));
    // One that was lost before tells nothing of it any more.
    for (const side of [target, client]) if (side.destroyed) process.nextTick(() => this.#onClose(side));
    if (head.length > 0) this.#up.write(head);
    // One that ended before it was listened to says so no more.
    if (client.readableEnded) this.#up.end();
    if (target.readableEnded) this.#down.end();
    upReader.goOn();
    downReader.goOn();
  }

  get account(): StreamAccount {
    return this.#parts.account;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isClosed(): boolean {
    return this.#isOver && this.#client.closed;
  }

  tick(now: number): void {
    if (this.#isOver) return;
    const overdue = this.#parts.account.overdue(now);
    const { target } = this.#parts;
    const isHalfClosed = this.#client.readableEnded || target.readableEnded;
    if (overdue !== undefined) this.fail(overdue);
    else if (isHalfClosed && now - this.#movedAt >= this.#halfClosedMs) {
      this.fail(
        new RelayError(
          "stream_idle",
          `one side has ended, and nothing moved for ${this.#halfClosedMs / 1_000} s`,
        ),
      );
    }
  }

  fail(error: RelayError): void {
    if (this.#isOver) return;
    this.#parts.account.error = error;
    this.#finish();
  }

  destroy(): void {
    reset(this.#client);
    reset(this.#parts.target);
  }

  #room(writer: SocketWriter): number {
    return STREAM_TURN_BYTES - writer.size;
  }

  #moved(direction: "up" | "down", bytes: number): void {
    this.#movedAt = performance.now();
    this.#parts.account.moved(direction, bytes);
  }

  /** One side has ended: what the other one still has to say has its time from now on. */
  #ended(other: SocketWriter): void {
    this.#movedAt = performance.now();
    other.end();
  }

  #onClose(side: Duplex): void {
    const isWhole = side.readableEnded && side.writableFinished;
    if (!isWhole) {
      const [code, whose] =
        side === this.#client
          ? (["stream_cancelled", "the client's connection"] as const)
          : (["target_reset", "the connection to the target"] as const);
      this.fail(new RelayError(code, `${whose} was closed`));
    } else if (this.#client.closed && this.#parts.target.closed) this.#finish();
    if (this.isClosed) this.#parts.onClosed();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const writer of [this.#up, this.#down]) writer.drop();
    reset(this.#client);
    reset(this.#parts.target);
    this.#parts.onOver();
  }
}
