/** Limits of WebSockets at the node's own end. Units stand in the names. */

/** A frame's head: two bytes, eight of length, four of mask (RFC 6455 section 5.2). */
export const FRAME_HEAD_MAX_BYTES = 14;

/** The longest head that a server's frame has: no mask. So much is left free in front of bytes that go out as they stand. */
export const FRAME_ROOM_BYTES = 10;

/** What a ping, a pong or a close may carry (RFC 6455 section 5.5). */
export const CONTROL_MAX_BYTES = 125;

/** A frame up to this size is copied behind its head, and goes out as one piece. */
export const FRAME_COPIED_BYTES = 1_024;

/** From here on a mask is undone by words of four bytes: below it, to look at the words costs more than they save. */
export const WORDS_FROM_BYTES = 32;

/** A text message is gathered before it is told: so much of one. */
export const TEXT_MAX_BYTES = 1_048_576;
