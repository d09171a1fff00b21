import { isRelayError, RelayError } from "../../protocol/errors.ts";
import type { NodeStream, StreamParts } from "../held-stream.ts";
import { reset } from "../reset.ts";
import type { Connection } from "../tcp/connection.ts";
import { type Pump, pump } from "../splice/pump.ts";
import type { StreamAccount } from "../stream-account.ts";
import { targetFailure } from "../target-failure.ts";
import { TunnelDirection } from "./tunnel-direction.ts";

const NOTHING = Buffer.alloc(0);

/**
 *   client ──Pump──▶ target
 *   client ◀──Pump── target
 *
 * A tunnel of the proxy door: bytes both ways, at the pace of whoever is slower. Each end is passed on while the other
 * direction goes on, for as long as something moves there; a failure of one side resets the other one, so that nobody takes a
 * cut stream for a whole one.
 */
export class ProxyTunnel implements NodeStream {
  readonly #parts: StreamParts<Connection>;
  readonly #client: Connection;
  readonly #up: Pump;
  readonly #down: Pump;
  readonly #halfClosedMs: number;
  #movedAt = performance.now();
  #isOver = false;

  /**
   * @param client speaks the user's bytes; half-open capable, and paused
   * @param head what came of them already
   * @param halfClosedMs how long one side may say nothing once the other one has ended
   */
  constructor(parts: StreamParts<Connection>, client: Connection, head: Buffer, halfClosedMs: number) {
    this.#parts = parts;
    this.#halfClosedMs = halfClosedMs;
    this.#client = client;
    const { account, target } = parts;
    target.on("error", (error: Error) => this.fail(targetFailure(error)));
    client.on("error", (cause: Error) => {
      const why = "the client's connection broke";
      this.fail(isRelayError(cause) ? cause : new RelayError("stream_cancelled", why, { cause }));
    });
    for (const side of [target, client]) side.on("close", () => this.#onClose(side));
    // One that was lost before tells nothing of it any more.
    for (const side of [target, client]) if (side.destroyed) process.nextTick(() => this.#onClose(side));
    // What the other side still has to say has its time anew from an end on, too.
    const onMove = () => {
      this.#movedAt = performance.now();
    };
    this.#up = pump(client, target, head, new TunnelDirection(account, "up", onMove));
    this.#down = pump(target, client, NOTHING, new TunnelDirection(account, "down", onMove));
    const onPaid = () => {
      this.#up.goOn();
      this.#down.goOn();
    };
    account.slot!.onPaid = onPaid;
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
    this.#up.tick();
    this.#down.tick();
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

  #onClose(side: Connection): void {
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
    this.#up.drop();
    this.#down.drop();
    reset(this.#client);
    reset(this.#parts.target);
    this.#parts.onOver();
  }
}
