import type { Socket } from "node:net";
import { reset } from "./reset.ts";

/** How many connections may be open. */
export interface CapSizes {
  readonly perAddress: number;
  readonly inAll: number;
}

/** Counts the open connections of one listener, or of several together, and cuts those that are too many. */
export class ConnectionCaps {
  readonly #sizes: CapSizes;
  readonly #open = new Set<Socket>();
  readonly #byAddress = new Map<string, number>();

  constructor(sizes: CapSizes) {
    this.#sizes = sizes;
  }

  /** Connections that are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Counts one that was accepted; false: it was cut, since there are too many. */
  admit(socket: Socket): boolean {
    const address = socket.remoteAddress ?? "";
    const count = (this.#byAddress.get(address) ?? 0) + 1;
    this.#open.add(socket);
    this.#byAddress.set(address, count);
    socket.once("close", () => {
      this.#open.delete(socket);
      const left = this.#byAddress.get(address)! - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
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
