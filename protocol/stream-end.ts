import { type Blocks, ByteQueue } from "./byte-queue.ts";
import { isRelayError, RelayError, withReached } from "./errors.ts";
import { STREAM_ACK_BYTES, STREAM_MESSAGE_MAX_BYTES } from "./limits.ts";
import { errorOfReset, parseStreamMessage, type StreamMessage } from "./stream-messages.ts";

/** What an end sends messages by: a WebSocket, or whatever carries whole messages in order. */
export interface StreamPort {
  /** @param hasRoom the bytes in front of a binary one, in the block that it stands in, are nobody's */
  send(message: Uint8Array | string, hasRoom?: boolean): void;
}

/** What an end tells its owner. After `reset` or `done` nothing more comes. */
export interface StreamEvents {
  /** Bytes of the other side, in order and each once. Whoever takes them says `consumed` when they are dealt with. */
  data(chunk: Uint8Array): void;
  /** The other side sends nothing more, and all it sent has come. */
  fin(): void;
  /** More may be sent. */
  room(): void;
  /** The stream is over before its time: by the other end's `rst`, by a message against the rules, or by `reset`. */
  reset(error: RelayError): void;
  /** Both sides have sent all, and it was consumed. */
  done(): void;
}

/**
 * One end of a stream: who has sent, received and consumed how much. The same rules for both ends, without I/O and without a
 * clock; a connection is attached to it, can be lost, and another be attached.
 *
 *   owner ──send, finish──▶ pending ──port──▶ other end
 *   owner ◀──data, fin─────────────── receive ◀─┘
 *
 * What was sent stays here until the other end has consumed it: at most a window. When it is done it still answers an end that
 * did not hear so, on the next connection.
 */
export class StreamEnd {
  readonly #events: StreamEvents;
  readonly #window: number;
  #port: StreamPort | undefined;
  /** Sent and not acknowledged, in order; the first begins at `#acked`. */
  readonly #pending: ByteQueue;
  #sent = 0;
  #acked = 0;
  #finished = false;
  #received = 0;
  #consumed = 0;
  #told = 0;
  /** The other side's length, once it has sent all. */
  #length: number | undefined;
  #finAcked = false;
  #finTold = false;
  #state: "open" | "done" | "reset" = "open";

  /**
   * @param window bytes that each side may have under way
   * @param blocks where what is sent is copied into; without them it is kept as it is
   */
  constructor(window: number, events: StreamEvents, blocks?: Blocks) {
    this.#window = window;
    this.#events = events;
    this.#pending = new ByteQueue(blocks);
  }

  /** Bytes that may be sent now. */
  get room(): number {
    return this.#state !== "open" || this.#finished ? 0 : this.#window - (this.#sent - this.#acked);
  }

  /** Bytes sent since the stream was opened. */
  get sent(): number {
    return this.#sent;
  }

  /** Bytes sent that the other end has consumed. */
  get acked(): number {
    return this.#acked;
  }

  /** Bytes received since the stream was opened. */
  get received(): number {
    return this.#received;
  }

  /** Whether something was sent that the other end has not consumed. */
  get isWaiting(): boolean {
    return this.#state === "open" && (this.#sent > this.#acked || (this.#finished && !this.#finAcked));
  }

  /** Whether it was reset: nothing can go on then. */
  get wasReset(): boolean {
    return this.#state === "reset";
  }

  /** Whether both sides have sent all, and it was consumed. */
  get isDone(): boolean {
    return this.#state === "done";
  }

  /**
   * Whether another connection can take over where the other end says that it stands; nothing is changed.
   *
   * @param received how much the other end says it has received
   * @param sent how much it says it has sent, where it says so
   * @throws RelayError `stream_protocol` where that can't be
   */
  checkOffsets(received: number, sent = this.#received): void {
    if (received < this.#acked || received > this.#sent) {
      throw broken(
        `the other end can't have received ${received} bytes: ${this.#acked} were acknowledged, ${this.#sent} sent`,
      );
    }
    if (sent < this.#received || sent > this.#consumed + this.#window) {
      throw broken(
        `the other end can't have sent ${sent} bytes: ${this.#received} came, ${this.#consumed} were consumed`,
      );
    }
  }

  /**
   * Takes over a connection: what the other end has not received is sent again.
   *
   * @param received how much the other end says it has received
   * @throws RelayError `stream_protocol` where that can't be; the stream is as it was
   */
  attach(port: StreamPort, received: number): void {
    this.checkOffsets(received);
    this.#port = port;
    // An ack may have been lost with the old connection.
    this.#told = 0;
    this.#finTold = false;
    this.acknowledge();
    for (const chunk of this.#pending.from(received - this.#acked)) this.#sendBytes(chunk);
    if (this.#finished) this.#tell({ type: "fin", bytes: this.#sent });
  }

  /** The connection is lost; the stream waits for another. */
  detach(): void {
    this.#port = undefined;
  }

  /**
   * Sends bytes, which must not be changed afterwards, but where there are blocks to copy them into.
   * @throws Error where there is no room for them
   */
  send(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (chunk.length > this.room) throw new Error(`there is room for ${this.room} bytes alone`);
    this.#sent += chunk.length;
    for (const piece of this.#pending.push(chunk)) this.#sendBytes(piece);
  }

  /**
   * Sends bytes that stand in a block, behind some room, and takes it over.
   * @throws Error where there is no room for them in the window
   */
  sendBlock(block: Uint8Array, begin: number, end: number): void {
    if (end - begin > this.room) throw new Error(`there is room for ${this.room} bytes alone`);
    this.#sent += end - begin;
    const chunk = this.#pending.adopt(block, begin, end);
    this.#port?.send(chunk, true);
  }

  /** Says that nothing more will be sent. */
  finish(): void {
    if (this.#finished || this.#state !== "open") return;
    this.#finished = true;
    this.#tell({ type: "fin", bytes: this.#sent });
  }

  /** Ends the stream at once, and tells the other end why. */
  reset(error: RelayError): void {
    if (this.#state !== "open") return;
    this.#tell({ type: "rst", code: error.code, detail: error.detail.slice(0, 500) });
    this.#end("reset");
    this.#events.reset(error);
  }

  /** The owner has dealt with so many bytes of what came. */
  consumed(bytes: number): void {
    this.#consumed += bytes;
    const isWorthIt = this.#consumed - this.#told >= STREAM_ACK_BYTES;
    if (isWorthIt || this.#consumed === this.#length) this.acknowledge();
    this.#settle();
  }

  /** Tells the other end what has been consumed, where it doesn't know: to be called with each look at the clock. */
  acknowledge(): void {
    const fin = this.#consumed === this.#length;
    if ((this.#consumed === this.#told && fin === this.#finTold) || this.#port === undefined) return;
    this.#told = this.#consumed;
    this.#finTold = fin;
    this.#tell({ type: "ack", bytes: this.#consumed, ...(fin && { fin }) });
  }

  /** Asks the other end for a sign of life. */
  ping(): void {
    this.#tell({ type: "ping" });
  }

  /** Takes a message of the other end, or a piece of a binary one, but for `open`, which begins a connection and is the owner's to read. */
  receive(message: Uint8Array | string): void {
    if (this.#state !== "open") return;
    try {
      if (typeof message === "string") this.#control(parseStreamMessage(message));
      else this.#bytes(message);
    } catch (error) {
      if (!isRelayError(error)) throw error;
      this.reset(error);
    }
  }

  #bytes(chunk: Uint8Array): void {
    if (chunk.length > STREAM_MESSAGE_MAX_BYTES) throw broken("a message is too long");
    if (this.#length !== undefined) throw broken("bytes came after fin");
    if (this.#received + chunk.length - this.#consumed > this.#window) {
      throw broken(`more than the window of ${this.#window} bytes came`);
    }
    this.#received += chunk.length;
    if (chunk.length > 0) this.#events.data(chunk);
  }

  #control(message: StreamMessage): void {
    switch (message.type) {
      case "ack":
        this.#takeAck(message.bytes, message.fin === true);
        return;
      case "fin":
        this.#takeFin(message.bytes);
        return;
      case "rst":
        this.#end("reset");
        // The stream was open, so that the target was connected to.
        this.#events.reset(withReached(errorOfReset(message), "yes"));
        return;
      case "ping":
        this.#tell({ type: "pong" });
        return;
      case "pong":
        return;
      case "open":
      case "parked":
      case "dial":
        throw broken("a connection is opened once");
    }
  }

  #takeAck(bytes: number, fin: boolean): void {
    if (bytes < this.#acked || bytes > this.#sent || (fin && !(this.#finished && bytes === this.#sent))) {
      throw broken(`ack of ${bytes} bytes: ${this.#acked} were acknowledged, ${this.#sent} sent`);
    }
    this.#finAcked ||= fin;
    if (bytes > this.#acked) {
      this.#pending.drop(bytes - this.#acked);
      this.#acked = bytes;
      if (!this.#finished) this.#events.room();
    }
    this.#settle();
  }

  #takeFin(bytes: number): void {
    if (bytes !== this.#received) {
      throw broken(`fin after ${bytes} bytes, of which ${this.#received} came`);
    }
    // Told again on a connection that takes over.
    if (this.#length !== undefined) return;
    this.#length = bytes;
    this.#events.fin();
    this.acknowledge();
    this.#settle();
  }

  #settle(): void {
    if (this.#state !== "open" || !this.#finAcked || this.#consumed !== this.#length) return;
    this.#end("done");
    this.#events.done();
  }

  #end(state: "done" | "reset"): void {
    this.#state = state;
    this.#pending.clear();
  }

  #sendBytes(chunk: Uint8Array): void {
    if (chunk.length <= STREAM_MESSAGE_MAX_BYTES) {
      this.#port?.send(chunk);
      return;
    }
    for (let at = 0; at < chunk.length; at += STREAM_MESSAGE_MAX_BYTES) {
      this.#port?.send(chunk.subarray(at, at + STREAM_MESSAGE_MAX_BYTES));
    }
  }

  #tell(message: StreamMessage): void {
    this.#port?.send(JSON.stringify(message));
  }
}

function broken(why: string): RelayError {
  return new RelayError("stream_protocol", why);
}
