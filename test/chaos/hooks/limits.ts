/** Every time, rate and bound of the kill suite. Units stand in the names. */

/** Who sends at once: half of them whatever comes, half of them one lane each, in its order. */
export const SENDERS = 32;
export const LANES = SENDERS / 2;

/** How long a sender waits before its next event, and before it repeats one that got no 2xx. */
export const PAUSE_MAX_MS = { free: 300, lane: 600 } as const;
export const REPEAT_AFTER_MS = 100;

/** Nothing waits longer for an answer; a sender gives an event up when it was repeated for so long. */
export const SEND_DEADLINE_MS = 10_000;
export const REPEAT_FOR_MS = 45_000;

/** Of the bodies, one in so many is so large that it is staged, not held: past HELD_BODY_BYTES of the worker. */
export const LARGE_ONE_IN = 40;
export const LARGE_BYTES = 300_000;
export const SMALL_MAX_BYTES = 2_000;

/** The receiver's ways: how often it fails, and how often and how long it takes its time. */
export const FAILING_SHARE = 0.06;
export const SLOW_SHARE = 0.08;
export const SLOW_MAX_MS = 1_500;

/** Seconds before each attempt of the suite's routes: more of them than the receiver fails in a row. */
export const SCHEDULE_SECONDS = [0, 1, 1, 1, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4];

/** Rounds that end with a kill, and how long their load lasts, from the first delivery on; one in four follows the start at once. */
export const KILLS = 20;
export const ROUND_MIN_MS = 300;
export const ROUND_MAX_MS = 3_000;
/** A first delivery comes within this time. */
export const FIRST_MS = 15_000;
export const SUDDEN_ONE_IN = 4;
export const SUDDEN_MIN_MS = 20;
export const SUDDEN_MAX_MS = 400;

/** The edge stays away for at most this long. */
export const DOWN_MAX_MS = 800;

/** After so many kills there is a while without one, and one before the first. */
export const CALM_EVERY = 10;
export const CALM_MS = 6_000;

/** A quick run: kills, its one calm while, and when no other round begins. */
export const QUICK_KILLS = 6;
export const QUICK_KILLS_MIN = 3;
export const QUICK_CALM_MS = 1_500;
export const QUICK_ROUNDS_SECONDS = 30;
export const QUICK_ROUND_MAX_MS = 1_200;

/** All is delivered within this time of the last event. */
export const DRAIN_MS = 120_000;
export const LOOK_MS = 250;

/** An answer of the receiver's is written down by the edge within this time: until then it counts as under way. */
export const SETTLE_MS = 3_000;

/** Nothing is under way for longer: the deadline of an attempt, and some. */
export const UNDER_WAY_MAX_MS = 20_000;

/** How far the times of two processes on one machine may be apart. */
export const SKEW_MS = 20;

/** Attempts at once: 6 in each of the 8 stores of a route. */
export const UNDER_WAY_PER_ROUTE = 48;

/** How many deliveries the suite removes in the end, so that something is purged. */
export const PURGES = 5;

/** Details of deliveries that are asked for at once. */
export const DETAILS_AT_ONCE = 8;
