import { once } from "node:events";
import type { WebSocket } from "ws";
import type { RelayError } from "../../protocol/errors.ts";
import { StreamEnd } from "../../protocol/stream-end.ts";
import { type OpenMessage, parseStreamMessage, STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import type { RequestClaims } from "../../protocol/claims.ts";
import { openSocket, streamToken } from "./stream-caller.ts";

/** A caller's end of a stream through an edge. */
export class EdgeStream {
  readonly open: OpenMessage;
  readonly socket: WebSocket;
  readonly end: StreamEnd;
  /** Settles when the stream is over: with the error where it was reset. */
  readonly over: Promise<RelayError | undefined>;
  /** Whether the target has sent its end. */
  isEnded = false;
  #wake = Promise.withResolvers<void>();

  private constructor(socket: WebSocket, open: OpenMessage, take: (chunk: Uint8Array) => void) {
    this.socket = socket;
    this.open = open;
    const over = Promise.withResolvers<RelayError | undefined>();
    this.over = over.promise;
    this.end = new StreamEnd(open.window, {
      data: (chunk) => {
        take(chunk);
        this.end.consumed(chunk.length);
      },
      fin: () => (this.isEnded = true),
      room: () => {
        this.#wake.resolve();
        this.#wake = Promise.withResolvers();
      },
      reset: over.resolve,
      done: () => over.resolve(undefined),
    });
  }

  /**
   * @param take is given what the target sends
   * @throws RelayError as the relay answered
   */
  static async open(
    relayUrl: string,
    url: string,
    take: (chunk: Uint8Array) => void,
    claims?: Partial<RequestClaims>,
  ): Promise<EdgeStream> {
    const headers = { "Relay-Authorization": `Bearer ${await streamToken(relayUrl, url, claims)}` };
    const opening = await openSocket(new URL(relayUrl).origin, { protocols: [STREAM_PROTOCOL], headers });
    if (opening.refused !== undefined) throw opening.refused;
    const { socket, inbox } = opening;
    const first = await inbox.next();
    const open = parseStreamMessage(first.toString());
    if (open.type !== "open") throw new Error("the first message is not open");
    const stream = new EdgeStream(socket, open, take);
    stream.end.attach({ send: (message) => socket.send(message) }, open.received);
    inbox.listen((message) => stream.end.receive(message));
    return stream;
  }

  /** Sends bytes as the window lets them go. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const piece = rest.subarray(0, Math.min(this.end.room, 65_536));
      if (piece.length === 0) {
        await Promise.race([this.#wake.promise, this.over]);
        continue;
      }
      this.end.send(piece);
      rest = rest.subarray(piece.length);
    }
  }

  async close(): Promise<void> {
    const closed = once(this.socket, "close");
    this.socket.close();
    await closed;
  }
}
