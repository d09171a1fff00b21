/** Every size, time and number of the tunnel's tests. Units stand in the names. */

/** A server that does not serve after this long is a failure of the suite. */
export const START_DEADLINE_MS = 30_000;

/** A server is asked to end, and after this long ended. */
export const END_DEADLINE_MS = 10_000;

/** Between two looks at whether something has come about. */
export const POLL_MS = 100;

/** Whoever goes round the relay waits this long for an answer that never comes. */
export const DROPPED_SECONDS = 2;

/** A program under `holdfast run` has said or done what it should by then. */
export const PROGRAM_DEADLINE_MS = 60_000;

/** What is bulk has come through by then. */
export const BULK_DEADLINE_MS = 180_000;

/** Each way, in the test of bulk. */
export const BULK_BYTES = 1_073_741_824;

/** What a dump holds at least, and how many rows of a table it is made of. */
export const DUMP_BYTES = 500_000_000;
export const DUMP_ROWS = 500_000;

/** What is still sent once the other side has sent its FIN. */
export const AFTER_FIN_BYTES = 8_388_608;

/** How long a program that reads stands still: over several of the questions that the ends of a stream ask in a silence. */
export const PROGRAM_PAUSE_MS = 60_000;

/** How long a server does. */
export const SERVER_PAUSE_MS = 5_000;

/**
 * What is under way to a reader that stands still: a window, and what the sockets of three processes and their kernels hold.
 * Without backpressure it would be all there is.
 */
export const PAUSED_BYTES_MAX = 33_554_432;

/** What a reader that stands still is sent. */
export const PAUSED_BYTES = 536_870_912;

/** By how much the memory of a process may grow meanwhile. */
export const PAUSED_GROWTH_MAX_BYTES = 33_554_432;

/** Streams that carry nothing, on one node, and how many are opened at once. */
export const IDLE_STREAMS = 2_000;
export const IDLE_AT_ONCE = 50;

/** What one of them may cost a node. */
export const IDLE_STREAM_MAX_BYTES = 204_800;

/** Streams opened at once and closed at once, and how often. */
export const ROUND_STREAMS = 200;
export const ROUNDS = 5;

/** How long the path is cut. */
export const CUT_MS = 5_000;

/** A session goes on this soon after the path is there again. */
export const RESUME_DEADLINE_MS = 45_000;

/** Rows of a COPY that a fault falls into, each of some 100 bytes. */
export const COPY_ROWS = 400_000;
