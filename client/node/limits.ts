/** Every limit of the client's own that only Node has. Bytes, milliseconds or counts, as named. */

/** A WebSocket that was closed in order is cut if the other end has not done the same by then. */
export const WIRE_CLOSE_MS = 5_000;

/** Whoever connects to a local proxy has this long to say who it is and where it wants to go. */
export const SOCKS_HANDSHAKE_MS = 10_000;

/** What that may take: a greeting, a name with a password, and a request (RFC 1928, RFC 1929) have at most 257, 513 and 262 bytes. */
export const SOCKS_HANDSHAKE_BYTES = 1_032;

/** Connections to one local proxy at a time. */
export const SOCKS_CONNECTIONS_MAX = 1_000;
