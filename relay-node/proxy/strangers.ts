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
  readonly #places = new Map<Connection, Place>();
  /** In the order in which they came, and those of one sender. */
  readonly #all = new Set<Place>();
  readonly #bySender = new Map<string, Set<Place>>();

  constructor(counts: StrangerCounts) {
    this.#counts = counts;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Counts one that was accepted, until it is closed or its user is known. */
  enter(connection: Connection & { readonly remoteAddress?: string | undefined }): void {
    const place = { connection, sender: senderOf(connection.remoteAddress ?? "") };
    const own = this.#bySender.get(place.sender) ?? new Set();
    this.#bySender.set(place.sender, own.add(place));
    this.#all.add(place);
    this.#take(place, connection);
    if (own.size > this.#counts.perSender) this.#cutFirst(own);
    else if (this.#all.size > this.#counts.inAll) this.#cutFirst(this.#all);
  }

  /** It goes on as another, in its own place. */
  replace(connection: Connection, next: Connection): void {
    const place = this.#places.get(connection);
    if (place === undefined) return;
    this.#places.delete(connection);
    this.#take(place, next);
  }

  /** Its user's credentials were found good. */
  known(connection: Connection): void {
    const place = this.#places.get(connection);
    if (place === undefined) return;
    this.#places.delete(connection);
    this.#all.delete(place);
    const own = this.#bySender.get(place.sender)!;
    own.delete(place);
    if (own.size === 0) this.#bySender.delete(place.sender);
  }

  #take(place: Place, connection: Connection): void {
    place.connection = connection;
    this.#places.set(connection, place);
    connection.on("close", () => this.known(connection));
  }

  #cutFirst(places: Iterable<Place>): void {
    const [oldest] = places;
    const { connection } = oldest!;
    this.known(connection);
    reset(connection);
  }
}

interface Place {
  connection: Connection;
  readonly sender: string;
}
