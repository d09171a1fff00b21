import { STREAM_EARLY_BYTES } from "../limits.ts";
import { type BareHearer, BareSocket } from "../tcp/bare-socket.ts";
import type { Connection } from "../tcp/connection.ts";

/**
 * A user that waits for its tunnel: what it sends ahead is kept, and that it leaves is heard.
 *
 * An end behind bytes is that of what it has to say, and goes on to the target in its turn. Without any, nobody could tell it
 * from a close: whoever gives up does no more.
 */
export class WaitingUser implements BareHearer {
  readonly #socket: Connection;
  readonly #onGone: () => void;
  readonly #early: Buffer[];
  #bytes: number;
  #isGone = false;

  /** @param head what came behind its request already */
  constructor(socket: Connection, head: Buffer, onGone: () => void) {
    this.#socket = socket;
    this.#onGone = onGone;
    this.#early = [head];
    this.#bytes = head.length;
    if (socket instanceof BareSocket) {
      socket.hearer = this;
      return;
    }
    socket.on("data", this.data).on("end", this.end).on("close", this.close);
    socket.on("error", this.close);
  }

  /** Whether its connection is a socket without streams: such a one is spliced to another of its kind. */
  get isBare(): boolean {
    return this.#socket instanceof BareSocket;
  }

  get isGone(): boolean {
    return this.#isGone || this.#socket.destroyed;
  }

  /** Listens no more: the socket is paused. @returns what came so far */
  release(): Buffer {
    const socket = this.#socket;
    socket.pause();
    if (socket instanceof BareSocket) socket.hearer = undefined;
    else {
      socket.off("data", this.data).off("end", this.end).off("close", this.close);
      // Its errors are the next one's to hear; until then nobody's.
      socket.on("error", () => {}).off("error", this.close);
    }
    return this.#early.length === 1 ? this.#early[0]! : Buffer.concat(this.#early);
  }

  readonly data = (chunk: Buffer): void => {
    this.#early.push(chunk);
    this.#bytes += chunk.length;
    // What is beyond stays with the system, which slows the user.
    if (this.#bytes >= STREAM_EARLY_BYTES) this.#socket.pause();
  };

  readonly end = (): void => {
    if (this.#bytes === 0) this.close();
  };

  readonly close = (): void => {
    this.#isGone = true;
    this.#onGone();
  };
}
