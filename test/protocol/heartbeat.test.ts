import { expect, test } from "vitest";
import { Heartbeat } from "../../protocol/heartbeat.ts";
import { STREAM_PONG_MS, STREAM_QUIET_BUSY_MS, STREAM_QUIET_MS } from "../../protocol/limits.ts";

/** What happens at which moment: the other end is heard, or the clock is looked at, with the verdict that is expected. */
type Step = readonly [at: number, what: "heard"] | readonly [at: number, isWaiting: boolean, verdict: string];

const ASKED = STREAM_QUIET_MS;
const CASES: readonly (readonly [what: string, steps: readonly Step[]])[] = [
  ["says nothing at first", [[STREAM_QUIET_MS - 1, false, "fine"]]],
  ["asks after a silence", [[STREAM_QUIET_MS, false, "ask"]]],
  [
    "asks sooner where an answer is awaited",
    [
      [STREAM_QUIET_BUSY_MS - 1, true, "fine"],
      [STREAM_QUIET_BUSY_MS, true, "ask"],
    ],
  ],
  [
    "asks once, and gives up after the deadline",
    [
      [ASKED, false, "ask"],
      [ASKED + 1, false, "fine"],
      [ASKED + STREAM_PONG_MS - 1, true, "fine"],
      [ASKED + STREAM_PONG_MS, false, "lost"],
      [ASKED + STREAM_PONG_MS + 1, false, "lost"],
    ],
  ],
  [
    "counts anew from whatever is heard",
    [
      [ASKED, false, "ask"],
      [ASKED + STREAM_PONG_MS - 1, "heard"],
      [ASKED + STREAM_PONG_MS + 1, false, "fine"],
      [ASKED + STREAM_PONG_MS - 1 + STREAM_QUIET_MS - 1, false, "fine"],
      [ASKED + STREAM_PONG_MS - 1 + STREAM_QUIET_MS, false, "ask"],
    ],
  ],
];

test.each(CASES)("%s", (_what, steps) => {
  const origin = 1_000;
  const heart = new Heartbeat(origin);
  for (const step of steps) {
    if (step[1] === "heard") heart.heard(origin + step[0]);
    else expect([step[0], heart.look(origin + step[0], step[1])]).toEqual([step[0], step[2]]);
  }
});
