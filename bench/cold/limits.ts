/** One way over each of the two lines: 20 ms there and back. */
export const LINE_MICROSECONDS = 10_000;

/** Bytes of an answer, by the name that a figure has. */
export const ANSWERS = { "1 kB": 1_000, "100 kB": 100_000, "1 MB": 1_000_000 } as const;

export type AnswerSize = keyof typeof ANSWERS;

/** The initial congestion window of the operator's option, in segments; docs/deploy.md says how it is set. */
export const WINDOW_SEGMENTS = 60;

/** How often a thing is measured, and how long a relay is left alone for the first call after a pause. */
export const WHOLE = { rounds: 15, pauseRounds: 7, pauseMs: 3_000, lineRounds: 25 } as const;
export const QUICK = { rounds: 3, pauseRounds: 0, pauseMs: 0, lineRounds: 5 } as const;

/** Calls of each kind before the first that counts: of whatever is compiled, looked up and connected once. */
export const WARMING = 3;

export type Sizes = typeof WHOLE | typeof QUICK;
