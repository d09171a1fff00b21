import type { Socket } from "node:net";

/** What a reader asks and tells its owner. */
export interface TargetReaderEvents {
  /** How many bytes may be taken now; where none, `goOn` is called when that changes. */
  room(): number;
  data(chunk: Buffer): void;
  /** The target sends nothing more, and all of it was told. */
  end(): void;
}

/** Reads a target as far as there is room. What is beyond that stays in the socket, whose own buffer slows the target. */
export class TargetReader {
  readonly #socket: Socket;
  readonly #events: TargetReaderEvents;

  constructor(socket: Socket, events: TargetReaderEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on("readable", () => this.goOn()).on("end", () => events.end());
  }

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
