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

/** A path that is opened ahead has so long before the call, in milliseconds. */
export const AHEAD_MS = 400;

/** How much of it is measured. */
export interface Sizes {
  readonly rounds: number;
  readonly pauseRounds: number;
  readonly pauseMs: number;
  readonly lineRounds: number;
  readonly before: { readonly seconds: number; readonly atOnce: number };
  readonly answers: readonly AnswerSize[];
}

/**
 * How often a thing is measured, how long a relay is left alone for the first call after a pause, and how long and by how many at
 * once it is used before.
 */
export const WHOLE: Sizes = {
  rounds: 15,
  pauseRounds: 7,
  pauseMs: 3_000,
  lineRounds: 25,
  before: { seconds: 10, atOnce: 16 },
  answers: Object.keys(ANSWERS) as AnswerSize[],
};
export const QUICK: Sizes = {
  rounds: 3,
  pauseRounds: 0,
  pauseMs: 0,
  lineRounds: 5,
  before: { seconds: 2, atOnce: 16 },
  answers: ["1 kB", "100 kB"],
};

/** Calls of each kind before the first that counts: of whatever is compiled, looked up and connected once. */
export const WARMING = 3;
