import type { RelayError } from "../../protocol/errors.ts";
import { StreamEnd } from "../../protocol/stream-end.ts";

/** One end of a pair, with what its owner has and has heard. Bytes count up, so that a wrong one shows. */
export class PairEnd {
  readonly end: StreamEnd;
  /** Messages on their way to this end, in order. */
  inbox: (Uint8Array | string)[] = [];
  sent = 0;
  received = 0;
  unread = 0;
  isAllSent = false;
  heardFin = false;
  heardDone = false;
  error: RelayError | undefined;
  /** The most that was under way from here. */
  mostUnderWay = 0;

  constructor(window: number) {
    this.end = new StreamEnd(window, {
      data: (chunk) => {
        if (this.heardFin || this.heardDone || this.error) throw new Error("bytes came after the end");
        chunk.forEach((byte, index) => {
          const at = this.received + index;
          if (byte !== at % 251) throw new Error(`byte ${at} is wrong`);
        });
        this.received += chunk.length;
        this.unread += chunk.length;
      },
      fin: () => {
        if (this.heardFin) throw new Error("fin was told twice");
        this.heardFin = true;
      },
      room: () => {
        if (this.end.room === 0) throw new Error("there is no room");
      },
      reset: (error) => {
        if (this.heardDone || this.error) throw new Error("it ended twice");
        this.error = error;
      },
      done: () => {
        if (this.heardDone || this.error) throw new Error("it ended twice");
        this.heardDone = true;
      },
    });
    this.window = window;
  }

  readonly window: number;

  /** Sends so many bytes, as far as there is room. */
  send(bytes: number): void {
    const count = Math.min(bytes, this.end.room);
    if (this.isAllSent || count <= 0) return;
    this.end.send(Uint8Array.from({ length: count }, (_, index) => (this.sent + index) % 251));
    this.sent += count;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.window - this.end.room);
  }

  consume(bytes: number): void {
    const count = Math.min(bytes, this.unread);
    this.unread -= count;
    this.end.consumed(count);
  }

  finish(): void {
    this.isAllSent = true;
    this.end.finish();
  }

  /** Takes so many of the messages that are on their way. */
  deliver(count: number): void {
    for (const message of this.inbox.splice(0, count)) this.end.receive(message);
  }
}

/** Both ends of a stream and the path between them, which can be cut. */
export class Pair {
  readonly client: PairEnd;
  readonly node: PairEnd;
  isConnected = false;
  /** What the client says of itself when it comes back. */
  #claims = { received: 0, sent: 0 };

  constructor(window: number) {
    this.client = new PairEnd(window);
    this.node = new PairEnd(window);
    this.connect();
  }

  /**
   * The client gives the connection up. What is on its way to it is lost; what is on its way to the node may still come, until
   * the node is told of another connection.
   */
  cut(): void {
    this.client.end.detach();
    this.client.inbox = [];
    this.#claims = { received: this.client.end.received, sent: this.client.end.sent };
    this.isConnected = false;
  }

  /** Another connection, under what the client said when it gave up the last one. */
  connect(): void {
    if (this.isConnected) this.cut();
    const { client, node } = this;
    // The old one is displaced.
    node.inbox = [];
    node.end.detach();
    node.end.checkOffsets(this.#claims.received, this.#claims.sent);
    const [toClient, toNode]: (Uint8Array | string)[][] = [[], []];
    client.inbox = toClient!;
    node.inbox = toNode!;
    const received = node.end.received;
    node.end.attach({ send: (message) => toClient!.push(message) }, this.#claims.received);
    client.end.attach({ send: (message) => toNode!.push(message) }, received);
    this.isConnected = true;
  }

  /** Goes on until nothing moves: everybody reads, the clock is looked at, a connection is made where there is none. */
  settle(): void {
    for (let round = 0; round < 1_000; round++) {
      if (!this.isConnected) this.connect();
      for (const one of [this.client, this.node]) {
        one.deliver(Number.POSITIVE_INFINITY);
        one.consume(Number.POSITIVE_INFINITY);
        one.end.acknowledge();
      }
      if (this.client.inbox.length === 0 && this.node.inbox.length === 0) return;
    }
    throw new Error("it never settles");
  }
}
