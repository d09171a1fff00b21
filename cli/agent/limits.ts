/** Every limit and deadline of the agent's. Units stand in the names. */

// One connection that is spliced to another.

/** One direction has ended and nothing moves in the other one: the connection is given up after this time. */
export const HALF_CLOSED_IDLE_MS = 600_000;

/** One side is closed, and the other one has this long to take what was written to it. */
export const LINGER_MS = 30_000;

// The listeners of destinations.

/** Connections that are open or being opened at once, for each destination; more are refused. */
export const DESTINATION_CONNECTIONS_MAX = 4_096;

/** Loopback addresses that are tried for a host, before the start is given up. */
export const LOOPBACK_ATTEMPTS = 32;

/** A destination's failures are told once in this time; those in between are counted. */
export const FAILURE_LINE_MS = 10_000;

// Names.

/** How long an agent waits for its turn to edit the hosts file, and how often it looks. */
export const LOCK_WAIT_MS = 10_000;
export const LOCK_POLL_MS = 10;
