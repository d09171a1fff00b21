import { expect, test } from "vitest";
import { SentBlocks, STREAM_BLOCKS } from "../../relay-node/stream-blocks.ts";

const BYTES = 16_384;

test("a block is used again, and by one queue at a time", () => {
  const [one, two] = [STREAM_BLOCKS.take(BYTES), STREAM_BLOCKS.take(BYTES)];
  expect(two).not.toBe(one);
  STREAM_BLOCKS.give(one);
  expect(STREAM_BLOCKS.take(BYTES)).toBe(one);
  expect(STREAM_BLOCKS.take(BYTES)).not.toBe(one);
});

test("what is given back before all has left that was sent is not used again until then", () => {
  const sent = new SentBlocks();
  const block = STREAM_BLOCKS.take(BYTES);
  const firstLeft = sent.sending();
  const secondLeft = sent.sending();
  sent.give(block);
  // Sent behind it: nothing waits for that.
  const thirdLeft = sent.sending();
  expect(STREAM_BLOCKS.take(BYTES)).not.toBe(block);
  firstLeft();
  expect(STREAM_BLOCKS.take(BYTES)).not.toBe(block);
  secondLeft();
  expect(STREAM_BLOCKS.take(BYTES)).toBe(block);
  thirdLeft();
  const other = STREAM_BLOCKS.take(BYTES);
  sent.give(other);
  expect(STREAM_BLOCKS.take(BYTES)).toBe(other);
});
