/** Every limit and deadline of the agent's. Units stand in the names. */

// One connection that is spliced to another.

/** One direction has ended and nothing moves in the other one: the connection is given up after this time. */
export const HALF_CLOSED_IDLE_MS = 600_000;

/** One side is closed, and the other one has this long to take what was written to it. */
export const LINGER_MS = 30_000;
