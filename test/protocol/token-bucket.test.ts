import { describe, expect, test } from "vitest";
import { TokenBucket } from "../../protocol/token-bucket.ts";

type Step =
  | readonly ["take", at: number, count: number, expected: boolean]
  | readonly ["spend", at: number, count: number, left: number]
  | readonly ["wait", at: number, count: number, ms: number]
  | readonly ["resize", at: number, rate: number, burst: number]
  | readonly ["level", at: number, expected: number]
  | readonly ["full", at: number, expected: boolean];

const CASES: readonly (readonly [what: string, rate: number, burst: number, steps: readonly Step[]])[] = [
  [
    "a burst, then as many as flow in",
    10,
    3,
    [
      ["take", 0, 3, true],
      ["take", 0, 1, false],
      ["wait", 0, 1, 100],
      ["take", 99, 1, false],
      ["take", 100, 1, true],
      ["take", 100, 1, false],
    ],
  ],
  [
    "never more than the burst",
    10,
    3,
    [
      ["take", 0, 3, true],
      ["full", 299, false],
      ["full", 300, true],
      ["level", 1e9, 3],
    ],
  ],
  [
    "a debt is paid before anything is given",
    100,
    100,
    [
      ["spend", 0, 300, -200],
      ["wait", 0, 0, 2_000],
      ["wait", 0, 1, 2_010],
      ["take", 1_999, 1, false],
      ["level", 2_000, 0],
      ["take", 2_010, 1, true],
    ],
  ],
  [
    "less than one a second",
    0.1,
    1,
    [
      ["take", 0, 1, true],
      ["wait", 0, 1, 10_000],
      ["take", 9_000, 1, false],
      ["take", 10_000, 1, true],
    ],
  ],
  [
    "a clock that jumps back neither gives nor takes",
    10,
    10,
    [
      ["take", 5_000, 10, true],
      ["level", 0, 0],
      ["level", 100, 1],
    ],
  ],
  [
    "another size keeps what flowed in at the old rate, and no more than the new burst",
    10,
    10,
    [
      ["take", 0, 10, true],
      ["resize", 500, 100, 100],
      ["level", 500, 5],
      ["level", 600, 15],
      ["resize", 600, 1, 2],
      ["level", 600, 2],
    ],
  ],
  [
    "another size forgives no debt",
    10,
    10,
    [
      ["spend", 0, 20, -10],
      ["resize", 0, 5, 5],
      ["wait", 0, 0, 2_000],
    ],
  ],
];

describe("a token bucket", () => {
  test.each(CASES)("%s", (_what, rate, burst, steps) => {
    const bucket = new TokenBucket({ rate, burst }, 0);
    const outcomes = steps.map((step) => {
      if (step[0] === "take") return bucket.take(step[2], step[1]);
      if (step[0] === "spend") return bucket.spend(step[2], step[1]);
      if (step[0] === "wait") return bucket.waitMs(step[2], step[1]);
      if (step[0] === "full") return bucket.isFull(step[1]);
      if (step[0] === "level") return bucket.level(step[1]);
      bucket.resize({ rate: step[2], burst: step[3] }, step[1]);
      return step.at(-1);
    });
    expect(outcomes).toEqual(steps.map((step) => step.at(-1)));
  });
});
