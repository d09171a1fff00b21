import type { Duplex } from "node:stream";
import type { Connection } from "../tcp/connection.ts";
import { borrow } from "./borrowed-reads.ts";
import { BufferPool } from "./buffer-pool.ts";
import { LendingPump } from "./lending-pump.ts";
import { StreamPump } from "./stream-pump.ts";

/** What a pump asks and tells its owner. */
export interface PumpEvents {
  /** Whether bytes must wait for the client's share; `goOn` is called when they need not any more. */
  mustRest(): boolean;
  /** Whether the client's share of bytes is limited: large pieces would keep its other connections waiting. */
  readonly isPaced: boolean;
  /** So many bytes were handed to the system. */
  moved(bytes: number): void;
  /** The source sends nothing more. */
  ended(): unknown;
}

/**
 *   source ──▶ buffer ──▶ sink
 *
 * One direction of a connection that is carried: at the pace of the sink, and its end is passed on behind its bytes. What breaks is told by
 * the sockets themselves.
 */
export interface Pump {
  /** Moves what there is, where it had to rest. */
  goOn(): void;
  /** Looks at the clock: a large buffer is taken from a source that rests. */
  tick(): void;
  /** Nothing more is moved: what waits is forgotten. */
  drop(): void;
}

/** The large buffers of the process. */
const pool = new BufferPool();

/**
 * Carries a source's bytes to a sink from now on.
 *
 * @param source paused
 * @param head what came of its bytes before
 */
export function pump(source: Connection, sink: Connection, head: Buffer, events: PumpEvents): Pump {
  const lending = new LendingPump(source, sink, events, pool);
  if (borrow(source, lending)) {
    lending.start(head);
    return lending;
  }
  // Whatever lends nothing is a stream of Node's, and so is what it is spliced to.
  return new StreamPump(source as Connection & Duplex, sink as Connection & Duplex, head, events);
}
