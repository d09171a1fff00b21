import { ByteQueue } from "../protocol/byte-queue.ts";
import { isRelayError, RelayError, withReached } from "../protocol/errors.ts";
import { checkGrantTimes, type GrantClaims } from "../protocol/grants.ts";
import { STREAM_WINDOW_BYTES } from "../protocol/limits.ts";
import { parseStreamMessage, type ParkedMessage, type StreamMessage } from "../protocol/stream-messages.ts";
import type { TunnelTarget } from "../protocol/targets.ts";
import { newRequestId } from "../protocol/tokens.ts";
import type { ClientSlot } from "./client-limits.ts";
import type { NodeContext } from "./context.ts";
import { asRelayError } from "./failure.ts";
import { STREAM_EARLY_BYTES, STREAM_PARKED_SECONDS } from "./limits.ts";
import { StreamAccount } from "./stream-account.ts";
import { StreamConnection, type UpgradedSocket } from "./stream-connection.ts";
import type { Opening, Streams } from "./streams.ts";

/** What a parked stream is made of. */
export interface ParkedParts {
  readonly node: NodeContext;
  readonly streams: Streams;
  readonly claims: GrantClaims;
  readonly target: TunnelTarget;
  /** Its place among its client's; it leaves with it. */
  readonly slot: ClientSlot;
  /** How long it is kept, where not as the limits say. */
  readonly seconds?: number | undefined;
}

/**
 *   client ◀──parked── node
 *   client ──dial, and bytes at once──▶ node ──TCP──▶ target
 *   client ◀──open, or rst── node
 *
 * The path of a stream that is opened ahead of its dial, so that opening the stream costs one way there and back. Its grant lets the dial
 * begin, and ends as any other does: all that is asked before a dial is asked when it is asked for. No byte is handed on before the target
 * is connected, so that an `rst` in place of `open` says that the target has seen none.
 */
export class ParkedStream implements Opening {
  readonly kind = "stream";
  readonly id = newRequestId();
  readonly #parts: ParkedParts;
  readonly #connection: StreamConnection;
  readonly #gone = new AbortController();
  readonly #expiry: NodeJS.Timeout;
  readonly #early = new ByteQueue();
  /** The end behind them, as it came. */
  #fin: string | undefined;
  #state: "parked" | "dialling" | "over" = "parked";

  constructor(parts: ParkedParts, upgraded: UpgradedSocket) {
    const { node, slot, seconds = STREAM_PARKED_SECONDS } = parts;
    this.#parts = parts;
    this.#connection = new StreamConnection(upgraded, {
      message: (message) => this.#take(message),
      room: () => {},
      broken: (error) => this.abort(error),
      lost: () => this.#lost(),
    });
    this.#expiry = setTimeout(
      () => this.abort(new RelayError("stream_idle", `nothing was asked for within ${seconds} s`)),
      seconds * 1_000,
    );
    const parked: ParkedMessage = {
      type: "parked",
      stream: this.id,
      node: node.config.id,
      window: STREAM_WINDOW_BYTES,
      seconds,
    };
    this.#connection.send(JSON.stringify(parked));
    slot.standing?.handOver((error) => this.abort(withReached(error, "no")));
  }

  is(clientId: string, requestId: string): boolean {
    const { sub, jti } = this.#parts.claims;
    return sub === clientId && jti === requestId;
  }

  get clientId(): string {
    return this.#parts.claims.sub;
  }

  abort(error: RelayError): void {
    if (this.#state === "dialling") this.#gone.abort(error);
    else if (this.#state === "parked") this.#end(error);
  }

  /** Cuts it, without a word. */
  destroy(): void {
    this.#connection.cut();
    this.#lost();
  }

  #take(message: Uint8Array | string): void {
    if (this.#state === "over") return;
    try {
      if (typeof message === "string") this.#control(parseStreamMessage(message), message);
      else if (this.#state === "dialling") this.#keep(message);
      else throw new RelayError("stream_protocol", "bytes came before dial");
    } catch (error) {
      if (!isRelayError(error)) throw error;
      this.abort(error);
    }
  }

  #control(message: StreamMessage, text: string): void {
    if (message.type === "ping") this.#connection.send(JSON.stringify({ type: "pong" }));
    else if (message.type === "rst") this.abort(gone());
    else if (this.#state === "parked" && message.type === "dial") this.#begin();
    else if (this.#state === "dialling" && message.type === "fin") this.#fin = text;
    else throw new RelayError("stream_protocol", `${message.type} came before ${this.#awaited}`);
  }

  get #awaited(): string {
    return this.#state === "parked" ? "dial" : "open";
  }

  #keep(bytes: Uint8Array): void {
    if (this.#fin !== undefined) throw new RelayError("stream_protocol", "bytes came after fin");
    this.#early.push(new Uint8Array(bytes));
    if (this.#early.size > STREAM_EARLY_BYTES) this.#connection.pause();
  }

  #begin(): void {
    const { streams } = this.#parts;
    this.#state = "dialling";
    clearTimeout(this.#expiry);
    streams.unpark(this);
    void streams.opening(this, () => this.#dial());
  }

  async #dial(): Promise<void> {
    const { node, streams, claims, target, slot } = this.#parts;
    const { signal } = this.#gone;
    const account = new StreamAccount(node.config);
    account.claims = claims;
    account.slot = slot;
    try {
      checkGrantTimes(claims, node.now());
      node.revocations.assertStands(claims);
      node.assertServing(true);
      streams.assertRoom(this.kind);
      slot.become(this.kind);
      account.lap("node_queue");
      const { host, port } = target;
      const { onStage } = account;
      const dialed = await node.dialer.dial({ host, port, tls: false, allowHalfOpen: true, signal, onStage });
      account.connected(dialed, false);
      if (signal.aborted) {
        dialed.socket.destroy();
        throw signal.reason;
      }
      this.#state = "over";
      const messages = [...this.#early.from(0), ...(this.#fin === undefined ? [] : [this.#fin])];
      this.#early.clear();
      streams.openParked(account, dialed, this.id, this.#connection, messages);
    } catch (error) {
      account.error = asRelayError(error);
      account.failed();
      streams.refused(account);
      this.#end(account.error);
    }
  }

  #end(error: RelayError): void {
    this.#leave();
    this.#connection.send(
      JSON.stringify({
        type: "rst",
        code: error.code,
        detail: error.detail.slice(0, 500),
      } satisfies StreamMessage),
    );
    this.#connection.close(error);
    this.#connection.resume();
  }

  #lost(): void {
    if (this.#state === "dialling") this.#gone.abort(gone());
    else this.#leave();
  }

  #leave(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    clearTimeout(this.#expiry);
    this.#early.clear();
    this.#parts.slot.leave();
    this.#parts.streams.unpark(this);
  }
}

function gone(): RelayError {
  return new RelayError("answer_cut", "the caller went away", { reached: "no" });
}
