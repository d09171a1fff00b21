/** Every limit of the client's own that only Node has. Bytes, milliseconds or counts, as named. */

/** A WebSocket that was closed in order is cut if the other end has not done the same by then. */
export const WIRE_CLOSE_MS = 5_000;
