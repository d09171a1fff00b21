import type { StreamPort } from "../protocol/stream-end.ts";
import type { RelayError } from "../protocol/errors.ts";

/** What carries a stream's messages, whole and in order: one WebSocket, by whatever interface the runtime has. */
export interface StreamWire extends StreamPort {
  /** Sends what it was given, then ends. */
  close(): void;
  /** Ends at once. */
  terminate(): void;
  /** Whether it alone keeps a process alive; missing where the runtime can't tell. */
  keepAlive?(isWanted: boolean): void;
}

/** What a wire tells. */
export interface WireEvents {
  message(message: Uint8Array | string): void;
  /**
   * It has ended, or never came to be. Nothing comes after that.
   * @param error what is known of why
   */
  closed(error: RelayError | undefined): void;
}

/** Begins to open a wire to an edge, with a token that was made for it. What it is given to send may only be sent after a first message came. */
export type OpenWire = (edge: string, token: string, events: WireEvents) => StreamWire;

/** Where an edge takes streams. */
export function streamUrl(edge: string): string {
  return `${edge.replace(/^http/, "ws")}/stream`;
}
