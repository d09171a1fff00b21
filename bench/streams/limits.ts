/** Sizes of the workloads of streams, of a whole run and of a quick one. */
export interface BulkSizes {
  /** How often each side is measured. */
  readonly rounds: number;
  /** What is moved for one measurement, by all streams together. */
  readonly bytes: number;
}

export const BULK: { readonly whole: BulkSizes; readonly quick: BulkSizes } = {
  whole: { rounds: 5, bytes: 512 * 2 ** 20 },
  quick: { rounds: 1, bytes: 64 * 2 ** 20 },
};

/** Streams at once. */
export const BULK_STREAMS = [1, 16] as const;

/** What is echoed to see that each byte arrives as it was sent. */
export const EXACT_BYTES = 4 * 2 ** 20;

/** What each side carries each way before it is measured: code that is compiled late shall be. */
export const WARM_BYTES = 24 * 2 ** 20;

/** Requests, bytes and streams that no limit of a client stands in the way of. */
export const NO_LIMIT = 1_000_000_000;

/** What was frozen serves by then, and how often that is tried. */
export const WAKE_MS = 10_000;
export const WAKE_POLL_MS = 200;
