/** Every limit and deadline of the agent's. Units stand in the names. */

// One connection that is spliced to another.

/** One direction has ended and nothing moves in the other one: the connection is given up after this time. */
export const HALF_CLOSED_IDLE_MS = 600_000;

/** One side is closed, and the other one has this long to take what was written to it. */
export const LINGER_MS = 30_000;

// The local proxies.

/** The password that is made for a run: 192 random bits. */
export const PROXY_PASSWORD_BYTES = 24;

/** The longest head of a request or of an answer. */
export const PROXY_HEAD_MAX_BYTES = 65_536;

/** From the first byte of a request's head, or of a SOCKS greeting, to its last. */
export const PROXY_HEAD_MS = 15_000;

/** A program's connection on which nothing is under way is closed after this time. */
export const PROXY_IDLE_MS = 60_000;

/** Connections to each of the two proxies at once. */
export const PROXY_CONNECTIONS_MAX = 2_000;

/** From the first attempt of a connection past the relay to the established one. */
export const DIRECT_CONNECT_MS = 30_000;
