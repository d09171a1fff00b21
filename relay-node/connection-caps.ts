import { senderOf } from "../protocol/senders.ts";
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
  readonly #open = new Set<Connection>();
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
    this.#open.add(socket);
    this.#bySender.set(sender, count);
    socket.on("close", () => {
      this.#open.delete(socket);
      const left = this.#bySender.get(sender)! - 1;
      if (left === 0) this.#bySender.delete(sender);
      else this.#bySender.set(sender, left);
    });
    if (count <= this.#sizes.perAddress && this.#open.size <= this.#sizes.inAll) return true;
    socket.destroy();
    return false;
  }

  /** Cuts all that there are, so that nobody takes it for an end. */
  cut(): void {
    for (const socket of this.#open) reset(socket);
  }
}
