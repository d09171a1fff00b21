import { STREAM_EARLY_BYTES } from "../limits.ts";
import { BareSocket } from "../tcp/bare-socket.ts";
import type { Connection } from "../tcp/connection.ts";

/**
 * A user that waits for its tunnel: what it sends ahead is kept, and that it leaves is heard.
 *
 * An end behind bytes is that of what it has to say, and goes on to the target in its turn. Without any, nobody could tell it
 * from a close: whoever gives up does no more.
 */
export class WaitingUser {
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
    socket.on("data", this.#onData).on("end", this.#onEnd).on("close", this.#leave);
    socket.on("error", this.#leave);
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
    socket.off("data", this.#onData).off("end", this.#onEnd).off("close", this.#leave);
    // Its errors are the next one's to hear; until then nobody's.
    socket.on("error", () => {}).off("error", this.#leave);
    return Buffer.concat(this.#early);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#early.push(chunk);
    this.#bytes += chunk.length;
    // What is beyond stays with the system, which slows the user.
    if (this.#bytes >= STREAM_EARLY_BYTES) this.#socket.pause();
  };

  readonly #onEnd = (): void => {
    if (this.#bytes === 0) this.#leave();
  };

  readonly #leave = (): void => {
    this.#isGone = true;
    this.#onGone();
  };
}
