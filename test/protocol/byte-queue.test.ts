import fc from "fast-check";
import { expect, test } from "vitest";
import { type Blocks, ByteQueue } from "../../protocol/byte-queue.ts";

const join = (chunks: Iterable<Uint8Array>) => Buffer.concat([...chunks]);

/** Blocks that are overwritten once they are given back. */
function blocks(out: Set<Uint8Array>): Blocks {
  const spare: Uint8Array[] = [];
  return {
    take: () => {
      const block = spare.pop() ?? new Uint8Array(5_000);
      out.add(block);
      return block;
    },
    give: (block) => {
      expect(out.delete(block)).toBe(true);
      spare.push(block.fill(254));
    },
  };
}

test("whatever is pushed, dropped and looked at, the bytes between are there in order", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("push" as const), bytes: fc.integer({ min: 0, max: 6_000 }) }),
    fc.record({ do: fc.constant("push" as const), bytes: fc.integer({ min: 0, max: 40 }) }),
    fc.record({ do: fc.constant("adopt" as const), bytes: fc.integer({ min: 1, max: 4_900 }) }),
    fc.record({ do: fc.constantFrom("drop", "peek"), bytes: fc.integer({ min: 0, max: 9_000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, hasBlocks) => {
      const out = new Set<Uint8Array>();
      const lent = blocks(out);
      const queue = new ByteQueue(hasBlocks ? lent : undefined);
      let expected = Buffer.alloc(0);
      let next = 0;
      for (const { do: what, bytes } of steps) {
        const count = Math.min(bytes, expected.length);
        if (what === "push") {
          const chunk = Uint8Array.from({ length: bytes }, () => next++ % 251);
          const kept = queue.push(chunk);
          expect(join(kept).equals(chunk)).toBe(true);
          expected = Buffer.concat([expected, chunk]);
          // Where it has blocks, what was pushed is the caller's again.
          if (hasBlocks) chunk.fill(255);
        } else if (what === "adopt") {
          if (!hasBlocks) continue;
          const block = lent.take(5_000);
          const chunk = Uint8Array.from({ length: bytes }, () => next++ % 251);
          block.set(chunk, 10);
          expect(queue.adopt(block, 10, 10 + bytes)).toEqual(chunk);
          expected = Buffer.concat([expected, chunk]);
        } else if (what === "drop") {
          queue.drop(count);
          expected = expected.subarray(count);
        } else {
          expect(join(queue.peek(bytes)).equals(expected.subarray(0, count))).toBe(true);
        }
        expect(queue.size).toBe(expected.length);
        if (expected.length === 0) expect(out.size).toBe(0);
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
  const pieces = queue.peek(1_048_576);
  expect(pieces.length).toBeLessThanOrEqual(256);
  expect(pieces.every((piece) => piece.buffer.byteLength === 4_096)).toBe(true);
});

test("a piece that was handed over is not changed by what is pushed behind it", () => {
  const queue = new ByteQueue();
  queue.push(Buffer.from("abc"));
  const [first] = queue.peek(2);
  queue.drop(2);
  queue.push(Buffer.from("def"));
  expect(Buffer.from(first!).toString()).toBe("ab");
  expect(join(queue.from(0)).toString()).toBe("cdef");
});
