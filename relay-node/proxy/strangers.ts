import { senderOf } from "../../protocol/senders.ts";
import { type Member, MemberMap, Members } from "../members.ts";
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
  readonly #places = new MemberMap<Connection, Place>();
  /** In the order in which they came, and those of one sender. */
  readonly #all = new Members<Place>();
  readonly #bySender = new Map<string, Members<Place>>();

  constructor(counts: StrangerCounts) {
    this.#counts = counts;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Counts one that was accepted, until it is closed or its user is known. */
  enter(connection: Connection & { readonly remoteAddress?: string | undefined }): void {
    const sender = senderOf(connection.remoteAddress ?? "");
    let own = this.#bySender.get(sender);
    if (own === undefined) this.#bySender.set(sender, (own = new Members()));
    const place: Place = { connection, sender, own: undefined, all: undefined };
    place.own = own.enter(place);
    place.all = this.#all.enter(place);
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
    place.own!.leave();
    place.all!.leave();
    if (this.#bySender.get(place.sender)!.size === 0) this.#bySender.delete(place.sender);
  }

  #take(place: Place, connection: Connection): void {
    place.connection = connection;
    this.#places.set(connection, place);
    connection.on("close", () => this.known(connection));
  }

  #cutFirst(places: Members<Place>): void {
    const { connection } = places.first!;
    this.known(connection);
    reset(connection);
  }
}

interface Place {
  connection: Connection;
  readonly sender: string;
  /** Among its sender's, and among all. */
  own: Member<Place> | undefined;
  all: Member<Place> | undefined;
}
