/** What clients use, as nodes count it and the registry adds it up: by month, in UTC. */

/** What one client used. Whole numbers. */
export interface UsageCounts {
  /** Requests, look-ups of seed lists and openings of streams that a node let in, whatever came of them. */
  readonly requests: number;
  /** What nodes refused under a grant. */
  readonly refusals: number;
  /** Streams and tunnels that were opened. */
  readonly streams: number;
  /** How long these stood, all together. */
  readonly streamSeconds: number;
  /** Bytes of bodies and streams, from the client to targets and back. */
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export const NO_USAGE: UsageCounts = {
  requests: 0,
  refusals: 0,
  streams: 0,
  streamSeconds: 0,
  bytesUp: 0,
  bytesDown: 0,
};

/** The names of the counts, in the order in which they are told. */
export const USAGE_COUNTS = Object.keys(NO_USAGE) as readonly (keyof UsageCounts)[];

/** What one client used in one month. */
export interface ClientUsage extends UsageCounts {
  readonly client: string;
}

/** What one node has counted of a client's month since its epoch began: it only grows. */
export interface UsageTotal extends ClientUsage {
  /** `2026-11` */
  readonly month: string;
}

/** A node's word on what it counted. That it comes twice, late or out of turn changes nothing: of two totals the larger is true. */
export interface UsageReport {
  /** Names one run of counters that began at zero: random, 22 characters. */
  readonly epoch: string;
  readonly totals: readonly UsageTotal[];
}

/** What the edge answers. */
export interface UsageAnswer {
  /** Clients among those that were reported that are over a hard limit of their quota. */
  readonly over: readonly string[];
}

/** A month as it is written. */
export const USAGE_MONTH = /^\d{4}-(?:0[1-9]|1[0-2])$/;

/**
 * The calendar month of a moment, in UTC.
 * @param ms since 1970
 * @example monthOf(Date.UTC(2026, 10, 28)) // "2026-11"
 */
export function monthOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 7);
}

/**
 * When a month ends and the next one begins, in milliseconds since 1970.
 * @example monthEnd("2026-12") // Date.UTC(2027, 0)
 */
export function monthEnd(month: string): number {
  return Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)));
}

/**
 * The month that lies so many before another one.
 * @example monthsBefore("2026-02", 3) // "2025-11"
 */
export function monthsBefore(month: string, count: number): string {
  return monthOf(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)) - 1 - count));
}
