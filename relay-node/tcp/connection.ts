import type { EventEmitter } from "node:events";

/** Each event has arguments of its own. */
type Listener = Parameters<EventEmitter["on"]>[1];

/**
 * What carries bytes at one side of a tunnel: a stream of Node's, or a socket without one. Half-open capable, as both sides have to be.
 * It tells its end by `end`, what broke by `error`, and in any case `close` last.
 */
export interface Connection {
  readonly destroyed: boolean;
  /** `close` was told. */
  readonly closed: boolean;
  readonly readableEnded: boolean;
  /** Bytes that were read and that nobody has taken. */
  readonly readableLength: number;
  readonly writable: boolean;
  readonly writableEnded: boolean;
  /** The end was handed to the system, behind all bytes. */
  readonly writableFinished: boolean;
  /** Bytes that the system has not taken. */
  readonly writableLength: number;
  on(event: string, listener: Listener): this;
  once(event: string, listener: Listener): this;
  off(event: string, listener: Listener): this;
  /** Takes out what was read. */
  read(): unknown;
  /** @param written called once the system has it, at the latest where it didn't take it at once */
  write(chunk: Uint8Array | string, written?: (error?: Error | null) => void): boolean;
  end(last?: string | Uint8Array): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(error?: Error): unknown;
}
