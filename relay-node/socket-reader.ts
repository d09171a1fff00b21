import type { Duplex } from "node:stream";

/** What a reader asks and tells its owner. */
export interface SocketReaderEvents {
  /** How many bytes may be taken now; where none, `goOn` is called when that changes. */
  room(): number;
  data(chunk: Buffer): void;
  /** The other end sends nothing more, and all of it was told. */
  end(): void;
}

/** Reads a socket as far as there is room. What is beyond that stays in it, and its own buffer slows whoever sends. */
export class SocketReader {
  readonly #socket: Duplex;
  readonly #events: SocketReaderEvents;

  constructor(socket: Duplex, events: SocketReaderEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on("readable", () => this.goOn()).on("end", () => events.end());
  }

  tick(): void {}

  goOn(): void {
    const socket = this.#socket;
    while (!socket.destroyed) {
      if (socket.readableLength === 0) {
        // Asks for more, or brings the end about.
        socket.read();
        return;
      }
      const bytes = Math.min(this.#events.room(), socket.readableLength);
      if (bytes <= 0) return;
      const chunk = socket.read(bytes) as Buffer | null;
      if (chunk === null) return;
      this.#events.data(chunk);
    }
  }
}
