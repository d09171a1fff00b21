import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteQueue } from "../../protocol/byte-queue.ts";

const join = (chunks: Iterable<Uint8Array>) => Buffer.concat([...chunks]);

test("whatever is pushed, dropped and taken, the bytes between are there in order", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("push" as const), bytes: fc.integer({ min: 0, max: 6_000 }) }),
    fc.record({ do: fc.constant("push" as const), bytes: fc.integer({ min: 0, max: 40 }) }),
    fc.record({ do: fc.constantFrom("drop", "take"), bytes: fc.integer({ min: 0, max: 9_000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue();
      let expected = Buffer.alloc(0);
      let next = 0;
      for (const { do: what, bytes } of steps) {
        const count = Math.min(bytes, expected.length);
        if (what === "push") {
          const chunk = Uint8Array.from({ length: bytes }, () => next++ % 251);
          queue.push(chunk);
          expected = Buffer.concat([expected, chunk]);
        } else if (what === "drop") {
          queue.drop(count);
          expected = expected.subarray(count);
        } else {
          expect(join(queue.take(bytes)).equals(expected.subarray(0, count))).toBe(true);
          expected = expected.subarray(count);
        }
        expect(queue.size).toBe(expected.length);
        expect(join(queue.from(0)).equals(expected)).toBe(true);
        const offset = Math.floor(expected.length / 3);
        expect(join(queue.from(offset)).equals(expected.subarray(offset))).toBe(true);
      }
      queue.clear();
      expect([queue.size, join(queue.from(0)).length]).toEqual([0, 0]);
    }),
    { numRuns: 300 },
  );
});

test("a million bytes that came one by one lie in some hundred pieces", () => {
  const queue = new ByteQueue();
  for (let i = 0; i < 1_048_576; i++) queue.push(Uint8Array.of(i));
  const pieces = queue.take(1_048_576);
  expect(pieces.length).toBeLessThanOrEqual(256);
  expect(pieces.every((piece) => piece.buffer.byteLength === 4_096)).toBe(true);
});

test("a piece that was handed over is not changed by what is pushed behind it", () => {
  const queue = new ByteQueue();
  queue.push(Buffer.from("abc"));
  const [first] = queue.take(2);
  queue.push(Buffer.from("def"));
  expect(Buffer.from(first!).toString()).toBe("ab");
  expect(join(queue.from(0)).toString()).toBe("cdef");
});
