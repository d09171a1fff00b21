import type { Duplex } from "node:stream";
import { reset } from "../reset.ts";

/**
 * Connections whose users have shown no valid credentials yet. Beyond a number the oldest is cut: who has good ones shows them at
 * once, and so a flood of connections that say nothing locks nobody out.
 */
export class Strangers {
  readonly #most: number;
  /** In the order in which they came. */
  readonly #connections = new Set<Duplex>();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Counts one that was accepted, until it is closed or its user is known. */
  enter(connection: Duplex): void {
    this.#connections.add(connection);
    connection.once("close", () => this.known(connection));
    if (this.#connections.size <= this.#most) return;
    const [oldest] = this.#connections;
    this.#connections.delete(oldest!);
    reset(oldest!);
  }

  /** Its user's credentials were found good. */
  known(connection: Duplex): void {
    this.#connections.delete(connection);
  }
}
