import { senderOf } from "../../protocol/senders.ts";
import { reset } from "../reset.ts";
import type { Connection } from "../tcp/connection.ts";

/** How many there may be. */
export interface StrangerCounts {
  readonly inAll: number;
  /** From one address, or one IPv6 network of 64 bits. */
  readonly perSender: number;
}

/**
 * Connections whose users have shown no valid credentials yet. Beyond a number the oldest is cut: who has good ones shows them at
 * once, and so a flood of connections that say nothing locks nobody out. One sender's flood cuts its own ones.
 */
export class Strangers {
  readonly #counts: StrangerCounts;
  /** In the order in which they came, with the sender of each. */
  readonly #connections = new Map<Connection, string>();
  readonly #bySender = new Map<string, Set<Connection>>();

  constructor(counts: StrangerCounts) {
    this.#counts = counts;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Counts one that was accepted, until it is closed or its user is known. */
  enter(connection: Connection & { readonly remoteAddress?: string | undefined }): void {
    const sender = senderOf(connection.remoteAddress ?? "");
    const own = this.#bySender.get(sender) ?? new Set();
    this.#bySender.set(sender, own.add(connection));
    this.#connections.set(connection, sender);
    connection.on("close", () => this.known(connection));
    if (own.size > this.#counts.perSender) this.#cutFirst(own);
    else if (this.#connections.size > this.#counts.inAll) this.#cutFirst(this.#connections.keys());
  }

  /** Its user's credentials were found good. */
  known(connection: Connection): void {
    const sender = this.#connections.get(connection);
    if (sender === undefined) return;
    this.#connections.delete(connection);
    const own = this.#bySender.get(sender)!;
    own.delete(connection);
    if (own.size === 0) this.#bySender.delete(sender);
  }

  #cutFirst(connections: Iterable<Connection>): void {
    const [oldest] = connections;
    this.known(oldest!);
    reset(oldest!);
  }
}
