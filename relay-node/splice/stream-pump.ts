import type { Duplex } from "node:stream";
import { STREAM_TURN_BYTES } from "../limits.ts";
import { SocketReader } from "../socket-reader.ts";
import { SocketWriter } from "../socket-writer.ts";
import type { Pump, PumpEvents } from "./pump.ts";

/** Carries what is no socket, or where Node lends none: by the streams' own buffers. */
export class StreamPump implements Pump {
  readonly #reader: SocketReader;
  readonly #writer: SocketWriter;

  /** @param head what came of the source before */
  constructor(source: Duplex, sink: Duplex, head: Buffer, events: PumpEvents) {
    const writer = new SocketWriter(sink, {
      mustRest: () => events.mustRest(),
      written: (bytes) => {
        events.moved(bytes);
        this.#reader.goOn();
      },
    });
    this.#writer = writer;
    this.#reader = new SocketReader(source, {
      room: () => STREAM_TURN_BYTES - writer.size,
      data: (chunk) => writer.write(chunk),
      end: () => {
        events.ended();
        writer.end();
      },
    });
    if (head.length > 0) writer.write(head);
    // One that ended before it was listened to says so no more.
    if (source.readableEnded) writer.end();
    this.#reader.goOn();
  }

  goOn(): void {
    this.#writer.goOn();
    this.#reader.goOn();
  }

  tick(): void {}

  drop(): void {
    this.#writer.drop();
  }
}
