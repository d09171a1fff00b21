/** Sizes and times of the workload, of a whole run and of a quick one. */

export interface Sizes {
  /** How often each figure is measured. */
  readonly rounds: number;
  /** How long senders send for one measurement. */
  readonly sendMs: number;
  /** Events that are delivered for one measurement of the throughput. */
  readonly deliveries: number;
  /** Pending events that are drained at once. */
  readonly backlog: number;
  /** Stored events, over which the growth of cost is looked at. */
  readonly stored: readonly number[];
}

export const WHOLE: Sizes = {
  rounds: 5,
  sendMs: 3_000,
  deliveries: 2_000,
  backlog: 100_000,
  stored: [10_000, 100_000, 1_000_000],
};

export const QUICK: Sizes = {
  rounds: 1,
  sendMs: 1_000,
  deliveries: 300,
  backlog: 2_000,
  stored: [1_000, 10_000],
};

/** Of an event's body. */
export const BODY_BYTES = 1_024;

export const SENDERS = 32;

/** Attempts and calls per second that no limit of a route or a client stands in the way of. */
export const NO_LIMIT = 1_000_000;

/** Nothing that is waited for takes longer. */
export const PATIENCE_MS = 900_000;

/** How often counts are looked at. */
export const LOOK_MS = 100;

/** Events that go into a file in one transaction. */
export const FILL_BATCH = 5_000;
