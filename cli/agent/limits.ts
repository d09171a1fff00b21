/** Every limit and deadline of the agent's. Units stand in the names. */

// The local proxies.

/** The longest head of a request or of an answer. */
export const PROXY_HEAD_MAX_BYTES = 65_536;

/** A program's connection on which nothing is under way is closed after this time. */
export const PROXY_IDLE_MS = 60_000;

/** From the first attempt of a connection past the relay to the established one. */
export const DIRECT_CONNECT_MS = 30_000;

// The listeners of destinations.

/** Connections that are open or being opened at once, for each destination; more are refused. */
export const DESTINATION_CONNECTIONS_MAX = 4_096;

/** Loopback addresses that are tried for a host, before the start is given up. */
export const LOOPBACK_ATTEMPTS = 32;

/** A destination's failures are told once in this time; those in between are counted. */
export const FAILURE_LINE_MS = 10_000;

// Names.

/** How long an agent waits for its turn to edit the hosts file, and how often it looks. */
export const LOCK_WAIT_MS = 10_000;
export const LOCK_POLL_MS = 10;

// The relay.

/** For the question whether the relay takes the token. */
export const RELAY_CHECK_MS = 15_000;

/** Between two such questions while the relay can't be reached, beside the doubling wait. */
export const RELAY_RETRY_MS = 1_000;

/** A refusal is asked about again after this time. */
export const REFUSAL_CONFIRM_MS = 2_000;

/** How long a connection is tried to be opened while the relay has a fault that may pass. */
export const OPEN_PATIENCE_MS = 15_000;

// The child.

/** A child that is told to end has this long until it is killed. */
export const CHILD_STOP_MS = 10_000;

/** What a child has written still arrives after its end, for as long as something moves, and for no longer than this. */
export const DRAIN_MS = 30_000;
export const DRAIN_STILL_MS = 1_000;
export const DRAIN_POLL_MS = 20;

/** For taking everything back after the child's end. */
export const CLOSE_MS = 5_000;

/** A password of the user's own: any shorter one could be guessed by a program on the same machine; RFC 1929 has no longer one. */
export const PROXY_PASSWORD_MIN = 16;
export const SOCKS_PASSWORD_MAX_BYTES = 255;

// The doctor.

/** The edge's leeway for a clock that is off, and half a second of the Date field's. */
export const CLOCK_OFFSET_MAX_SECONDS = 5;

/** For one plain answer of the edge's. */
export const DOCTOR_ANSWER_MS = 10_000;
