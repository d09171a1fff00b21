import type { StreamPort } from "../protocol/stream-end.ts";
import type { RelayError } from "../protocol/errors.ts";

/** What carries a stream's messages, whole and in order: one WebSocket, by whatever interface the runtime has. */
export interface StreamWire extends StreamPort {
  /** Sends what it was given, then ends. */
  close(): void;
  /** Ends at once. */
  terminate(): void;
  /** Whether what is sent may still arrive; missing where the runtime can't tell. */
  readonly isOpen?: boolean;
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

/** What a wire is opened for, beside its first token. */
export interface WireRequest {
  /** It takes up a stream that there is. */
  readonly isResume: boolean;
  /** Signs one more token for the same: where another way is tried, the first one may be used up. */
  readonly anotherToken: () => Promise<string>;
}

/** Begins to open a wire to an edge, with a token that was made for it. What it is given to send may only be sent after a first message came. */
export type OpenWire = (edge: string, token: string, events: WireEvents, request: WireRequest) => StreamWire;

/** Where an edge takes streams, and a node. */
export function streamUrl(origin: string): string {
  return `${origin.replace(/^http/, "ws")}/stream`;
}
