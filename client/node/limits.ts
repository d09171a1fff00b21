/** Every limit of the client's own that only Node has. Bytes, milliseconds or counts, as named. */

/** A WebSocket that was closed in order is cut if the other end has not done the same by then. */
export const WIRE_CLOSE_MS = 5_000;

// One connection that is spliced to another.

/** One direction has ended and nothing moves in the other one: the connection is given up after this time. */
export const HALF_CLOSED_IDLE_MS = 600_000;

/** One side is closed, and the other one has this long to take what was written to it. */
export const LINGER_MS = 30_000;

// Local proxies.

/** The password that is made for a run: 192 random bits. */
export const PROXY_PASSWORD_BYTES = 24;

/** From the first byte of a request's head, or of a SOCKS greeting, to its last. */
export const PROXY_HEAD_MS = 15_000;

/** Connections to each of the two proxies at once. */
export const PROXY_CONNECTIONS_MAX = 2_000;
