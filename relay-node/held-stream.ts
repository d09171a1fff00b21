import type { Socket } from "node:net";
import { RelayError, withReached } from "../protocol/errors.ts";
import { STREAM_WINDOW_BYTES } from "../protocol/limits.ts";
import { StreamEnd } from "../protocol/stream-end.ts";
import type { OpenMessage } from "../protocol/stream-messages.ts";
import { parseTunnelUrl, type TunnelTarget } from "../protocol/targets.ts";
import type { Resume } from "../protocol/claims.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { reset } from "./reset.ts";
import { TokenBucket } from "../protocol/token-bucket.ts";
import { STREAM_RESUMES, STREAM_TURN_BYTES } from "./limits.ts";
import type { StreamAccount } from "./stream-account.ts";
import { StreamConnection, type StreamConnectionEvents, type UpgradedSocket } from "./stream-connection.ts";
import { targetFailure } from "./target-failure.ts";
import { BlockReader, type BlockReaderEvents, type TargetReader } from "./block-reader.ts";
import { SocketReader } from "./socket-reader.ts";
import { SocketWriter } from "./socket-writer.ts";
import { STREAM_BLOCKS } from "./stream-blocks.ts";

/** What a stream of either mode is to the node. Times are `performance.now()`'s. */
export interface NodeStream {
  readonly account: StreamAccount;
  readonly isOver: boolean;
  /** Whether it is over, and its client's connection has gone as well. */
  readonly isClosed: boolean;
  /** Looks at the clock. */
  tick(now: number): void;
  /** Ends it with a typed error, as when the node has to go. */
  fail(error: RelayError): void;
  /** Cuts what is left of its connections. */
  destroy(): void;
}

/** A connection that has just been made tells nothing yet. */
const SILENT: StreamConnectionEvents = {
  message: () => {},
  room: () => {},
  broken: () => {},
  lost: () => {},
};

/** What a stream is made of. */
export interface StreamParts<Target = Socket> {
  readonly account: StreamAccount;
  readonly target: Target;
  /** Called once, when it is over: what ends it is in the account by then. */
  readonly onOver: () => void;
  /** Called when it is closed. */
  readonly onClosed: () => void;
}

/**
 *   client ──messages──▶ StreamConnection ──▶ StreamEnd ──▶ SocketWriter ──▶ target
 *   client ◀──messages── StreamConnection ◀── StreamEnd ◀── SocketReader ◀── target
 *
 * A stream under `holdfast.stream.v1`. The target's connection and the `StreamEnd` stay; connections to the client come and
 * go. When it is over it can still be asked how it ended.
 */
export class HeldStream implements NodeStream {
  readonly id: string;
  readonly #parts: StreamParts;
  readonly #nodeId: string;
  readonly #resumeMs: number;
  readonly #end: StreamEnd;
  readonly #reader: TargetReader;
  readonly #writer: SocketWriter;
  /** Resumes cost their client no share of its requests: these are what it has. */
  readonly #resumes = new TokenBucket(STREAM_RESUMES, performance.now());
  #connection: StreamConnection | undefined;
  /** More of the message that is being read is under way. */
  #isMore = false;
  /** When the last connection was lost, or the stream ended. */
  #leftAt = performance.now();
  #isOver = false;

  /** @param id where it was told before */
  constructor(parts: StreamParts, nodeId: string, resumeMs: number, id: string = newRequestId()) {
    this.id = id;
    this.#parts = parts;
    this.#nodeId = nodeId;
    this.#resumeMs = resumeMs;
    const { account, target } = parts;
    this.#end = new StreamEnd(
      STREAM_WINDOW_BYTES,
      {
        data: (chunk) => this.#writer.write(chunk, this.#isMore),
        fin: () => this.#writer.end(),
        room: () => this.#reader.goOn(),
        reset: (error) => this.#finish(error),
        done: () => this.#finish(undefined),
      },
      {
        take: (bytes) => STREAM_BLOCKS.take(bytes),
        give: (block) => this.#connection?.takeBack(block),
      },
    );
    this.#writer = new SocketWriter(
      target,
      {
        mustRest: () => account.inDebt,
        written: (bytes) => {
          account.moved("up", bytes);
          this.#end.consumed(bytes);
        },
      },
      STREAM_BLOCKS,
    );
    const reading: BlockReaderEvents = {
      room: () => this.#roomNow(),
      data: (chunk) => {
        account.moved("down", chunk.length);
        this.#end.send(chunk);
      },
      block: (block, begin, end) => {
        account.moved("down", end - begin);
        this.#end.sendBlock(block, begin, end);
      },
      end: () => this.#end.finish(),
    };
    // Whose share of bytes is limited takes turns in smaller pieces.
    const lent = account.isPaced ? undefined : BlockReader.on(target, reading, STREAM_BLOCKS);
    this.#reader = lent ?? new SocketReader(target, reading);
    target.on("error", (error) => this.fail(targetFailure(error)));
    target.on("close", () => {
      if (!target.readableEnded || !target.writableFinished) {
        this.fail(new RelayError("target_reset", "the connection to the target was closed"));
      }
    });
    const onPaid = () => {
      this.#writer.goOn();
      this.#reader.goOn();
    };
    account.slot!.onPaid = onPaid;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isClosed(): boolean {
    return this.#isOver && this.#connection === undefined;
  }

  /** Whether no connection carries it. */
  get isDetached(): boolean {
    return !this.#isOver && this.#connection === undefined;
  }

  /** Whether it is over, and nobody may ask how it ended any more. */
  isForgotten(now: number): boolean {
    return this.#isOver && now - this.#leftAt >= this.#resumeMs;
  }

  /** Whether it is this client's, to this target. */
  isOf(clientId: string, { authority }: TunnelTarget): boolean {
    const { sub, url } = this.#parts.account.claims!;
    return sub === clientId && parseTunnelUrl(url).authority === authority;
  }

  get account(): StreamAccount {
    return this.#parts.account;
  }

  /**
   * Lets one more connection be asked for.
   * @throws RelayError `rate_limited`, where it is more than any path can break
   */
  admitResume(): void {
    if (this.#resumes.take(1, performance.now())) return;
    const detail = `this stream was resumed more than ${STREAM_RESUMES.burst} times in a short while`;
    throw new RelayError("rate_limited", detail, { retryAfter: 1, reached: "yes" });
  }

  /**
   * Whether another connection can take over; nothing is changed.
   * @throws RelayError `stream_protocol`; or what the stream ended with
   */
  checkResume({ received, sent }: Resume): void {
    const { error } = this.#parts.account;
    if (error !== undefined) throw withReached(error, "yes");
    this.#end.checkOffsets(received, sent);
  }

  /**
   * A connection takes over; the one before is cut, and what still comes of it is not heard.
   * @param received how much the client has received
   */
  connect(socket: UpgradedSocket, received: number): void {
    this.#connection?.cut();
    this.#carry(new StreamConnection(socket, SILENT), received);
  }

  /**
   * Its first connection is one that stood before it.
   * @param early what came by it meanwhile
   */
  adopt(connection: StreamConnection, early: readonly (Uint8Array | string)[]): void {
    this.#carry(connection, 0);
    for (const message of early) this.#end.receive(message);
    connection.resume();
  }

  #carry(connection: StreamConnection, received: number): void {
    this.#connection = connection;
    connection.handTo({
      message: (message, isMore) => {
        this.#isMore = isMore;
        this.#end.receive(message);
      },
      room: () => this.#reader.goOn(),
      broken: (error) => this.fail(error),
      lost: () => this.#lost(connection),
    });
    const open: OpenMessage = {
      type: "open",
      stream: this.id,
      egress: this.account.egress ?? "",
      node: this.#nodeId,
      window: STREAM_WINDOW_BYTES,
      received: this.#end.received,
    };
    connection.send(JSON.stringify(open));
    // What is sent again is sent; or a client could draw its window by resumes, as often as it likes.
    const again = this.#end.sent - received;
    if (again > 0) this.account.slot?.spend(again);
    this.#end.attach(connection, received);
    // It missed the last acknowledgement, which has just been told again.
    if (this.#isOver) connection.close();
    else this.#reader.goOn();
  }

  tick(now: number): void {
    if (this.#isOver) return;
    this.#reader.tick();
    const overdue = this.#parts.account.overdue(now);
    if (overdue !== undefined) {
      this.fail(overdue);
      return;
    }
    if (this.#connection === undefined) {
      if (now - this.#leftAt < this.#resumeMs) return;
      const seconds = this.#resumeMs / 1_000;
      this.fail(new RelayError("stream_lost", `no connection took over within ${seconds} s`));
      return;
    }
    this.#end.acknowledge();
    const verdict = this.#connection.look(now, this.#end.isWaiting);
    if (verdict === "ask") this.#end.ping();
    if (verdict === "lost") {
      this.#connection.cut();
      this.#lost(this.#connection);
    }
  }

  fail(error: RelayError): void {
    this.#end.reset(error);
  }

  destroy(): void {
    this.#connection?.cut();
    this.#parts.target.destroy();
  }

  #roomNow(): number {
    if (this.#connection?.isFull === true || this.#parts.account.inDebt) return 0;
    return Math.min(this.#end.room, STREAM_TURN_BYTES);
  }

  #lost(connection: StreamConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#end.detach();
    if (this.#isOver) {
      this.#parts.onClosed();
      return;
    }
    this.#leftAt = performance.now();
    // What a slow reader held up may be read as far as the window goes.
    this.#reader.goOn();
  }

  #finish(error: RelayError | undefined): void {
    this.#isOver = true;
    this.#leftAt = performance.now();
    const { account, target, onOver, onClosed } = this.#parts;
    if (error !== undefined) {
      account.error = error;
      // It is kept for a while: with how it ended, and not with what its target never took.
      this.#writer.drop();
      reset(target);
    }
    this.#connection?.close(error);
    onOver();
    if (this.#connection === undefined) onClosed();
  }
}
