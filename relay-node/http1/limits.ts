/** Every limit of HTTP/1 towards targets. Units stand in the names. */

/** The line with the status. */
export const STATUS_LINE_MAX_BYTES = 16_384;

/** The line with a chunk's size and its extensions. */
export const CHUNK_LINE_MAX_BYTES = 16_384;

/** All trailers of an answer. They are read and dropped. */
export const TRAILERS_MAX_BYTES = 65_536;

/** A server that says how long it keeps a connection is believed up to so long before that: what is sent then still reaches it. */
export const KEPT_MARGIN_MS = 1_000;
