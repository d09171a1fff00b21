/** Every limit of what carries bytes between two connections. Units stand in the names. */

/** Where connections read that say little: one buffer for all of them, out of which each read is copied. */
export const SPLICE_SHARED_BYTES = 65_536;

/** What a connection reads into that fills the shared one: its own for as long as it does. */
export const SPLICE_BUFFER_BYTES = 524_288;

/** Buffers that connections may have of their own at once; further ones read into the shared one. */
export const SPLICE_BUFFERS_MAX = 128;

/** Buffers that are kept while nobody has them. */
export const SPLICE_BUFFERS_SPARE = 16;

/** A connection that read less than a part of its buffer so many times in a row gives it back. */
export const SPLICE_SMALL_READS = 8;

/** How often one connection may be given a buffer: to take one from a connection that rests costs it some bytes until it ends. */
export const SPLICE_LEASES_MAX = 10_000;

/** The trial whether this Node reads into buffers of ours has so long. */
export const SPLICE_TRIAL_MS = 2_000;

/** What a record of TLS carries at most (RFC 8446 section 5.1). */
export const TLS_RECORD_BYTES = 16_384;
