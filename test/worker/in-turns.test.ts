import { expect, test } from "vitest";
import { inTurns } from "../../worker/in-turns.ts";

test.each([0, 1, 3, 10])("each of %d has its turn, and no more than three at once", async (count) => {
  let [underWay, most] = [0, 0];
  const done: number[] = [];
  await inTurns(
    Array.from({ length: count }, (_, index) => index),
    3,
    async (item) => {
      most = Math.max(most, ++underWay);
      await new Promise((turn) => setTimeout(turn, 1));
      underWay--;
      done.push(item);
    },
  );
  expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
  expect(most).toBe(Math.min(count, 3));
});
