/** Every limit of the client's own that only Node has. Bytes, milliseconds or counts, as named. */

/** A WebSocket that was closed in order is cut if the other end has not done the same by then. */
export const WIRE_CLOSE_MS = 5_000;

// The direct way to a node.

/** From the look-up of a node's name to its TLS: a node that takes longer is as good as out of reach, and the edge may be nearer. */
export const NODE_REACH_MS = 3_000;

/** What was out of reach directly is left alone for this time, so that not every connection pays the wait. */
export const NODE_LEFT_MS = 60_000;

/** For an edge's answer to the question for grants. */
export const GRANTS_MS = 10_000;

/** As many grants as an edge gives at once; each may be as long as a token. */
export const GRANTS_MAX = 3;
export const GRANTS_MAX_BYTES = 65_536;

/** A connection to the edge that is kept for the next grants is closed after this time without use, and more than so many at once. */
export const GRANTS_IDLE_MS = 60_000;
export const GRANTS_IDLE_CONNECTIONS = 4;

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

/** What connections over TLS read into, one for all of them. */
export const READ_BUFFER_BYTES = 65_536;
