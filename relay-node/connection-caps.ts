import { senderOf } from "../protocol/senders.ts";
import { MemberMap } from "./members.ts";
import { reset } from "./reset.ts";
import type { Connection } from "./tcp/connection.ts";

/** One that was accepted. */
type Accepted = Connection & { readonly remoteAddress?: string | undefined };

/** How many connections may be open. */
export interface CapSizes {
  /** Of an IPv6 network of 64 bits, which is one sender's, together. */
  readonly perAddress: number;
  readonly inAll: number;
}

/** Counts the open connections of one listener, or of several together, and cuts those that are too many. */
export class ConnectionCaps {
  readonly #sizes: CapSizes;
  /** With the sender of each. */
  readonly #open = new MemberMap<Connection, string>();
  readonly #bySender = new Map<string, number>();

  constructor(sizes: CapSizes) {
    this.#sizes = sizes;
  }

  /** Connections that are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Counts one that was accepted; false: it was cut, since there are too many. */
  admit(socket: Accepted): boolean {
    const sender = senderOf(socket.remoteAddress ?? "");
    const count = (this.#bySender.get(sender) ?? 0) + 1;
    this.#bySender.set(sender, count);
    this.#take(socket, sender);
    if (count <= this.#sizes.perAddress && this.#open.size <= this.#sizes.inAll) return true;
    socket.destroy();
    return false;
  }

  /** It goes on as another, which is counted in its place. */
  replace(socket: Connection, next: Connection): void {
    const sender = this.#open.get(socket);
    if (sender === undefined) return;
    this.#open.delete(socket);
    this.#take(next, sender);
  }

  /** Whether it is counted. */
  has(socket: Connection): boolean {
    return this.#open.has(socket);
  }

  /** Cuts all that there are, so that nobody takes it for an end. */
  cut(): void {
    for (const socket of this.#open.keys()) reset(socket);
  }

  #take(socket: Connection, sender: string): void {
    this.#open.set(socket, sender);
    socket.on("close", () => {
      if (!this.#open.delete(socket)) return;
      const left = this.#bySender.get(sender)! - 1;
      if (left === 0) this.#bySender.delete(sender);
      else this.#bySender.set(sender, left);
    });
  }
}
