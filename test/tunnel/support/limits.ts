/** Every size, time and number of the tunnel's tests. Units stand in the names. */

/** A server that does not serve after this long is a failure of the suite. */
export const START_DEADLINE_MS = 30_000;

/** A server is asked to end, and after this long ended. */
export const END_DEADLINE_MS = 10_000;

/** Between two looks at whether something has come about. */
export const POLL_MS = 100;

/** Whoever goes round the relay waits this long for an answer that never comes. */
export const DROPPED_SECONDS = 2;
