/** One way over each of the two lines: 20 ms there and back. */
export const LINE_MICROSECONDS = 10_000;

/**
 * Bytes of an answer, by the name that a figure has. Up to some 101,000 go out in three windows that begin with 10 segments:
 * one that is a little smaller than its round number says comes a whole way there and back earlier.
 */
export const ANSWERS = {
  "1 kB": 1_024,
  "100,000 B": 100_000,
  "100 kB": 102_400,
  "1 MB": 1_048_576,
} as const;

export type AnswerSize = keyof typeof ANSWERS;

/** The initial congestion window of the operator's option, in segments; docs/deploy.md says how it is set. */
export const WINDOW_SEGMENTS = 60;

/**
 * How often a thing is measured, how long a relay is left alone for the first call after a pause, and how long and by how many at
 * once it is used before.
 */
export const WHOLE = {
  rounds: 15,
  pauseRounds: 7,
  pauseMs: 3_000,
  lineRounds: 25,
  before: { seconds: 10, atOnce: 16 },
} as const;
export const QUICK = {
  rounds: 3,
  pauseRounds: 0,
  pauseMs: 0,
  lineRounds: 5,
  before: { seconds: 3, atOnce: 16 },
} as const;

/** Calls of each kind before the first that counts: of whatever is compiled, looked up and connected once. */
export const WARMING = 3;

export type Sizes = typeof WHOLE | typeof QUICK;
