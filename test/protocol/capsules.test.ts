import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CAPSULE, CapsuleDecoder, capsuleHead } from "../../protocol/capsules.ts";
import { CAPSULE_UNKNOWN_MAX_BYTES } from "../../protocol/limits.ts";

const DATA = "a028d7f0";
const FINAL = "a028d7f1";
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

/** What a decoder makes of bytes that come in pieces. */
function decoded(pieces: readonly Uint8Array[]): { text: string; isFinal: boolean; isBetween: boolean } {
  const decoder = new CapsuleDecoder();
  const payload = pieces.flatMap((piece) => decoder.decode(piece));
  const { isFinal, isBetween } = decoder;
  return { text: Buffer.concat(payload).toString("latin1"), isFinal, isBetween };
}

const bytewise = (bytes: Buffer) => Array.from(bytes, (byte) => Uint8Array.of(byte));

describe("a wire", () => {
  test.each<[string, string, { text: string; isFinal?: boolean; isBetween?: boolean }]>([
    ["without a byte", "", { text: "" }],
    ["with data", `${DATA} 03 616263`, { text: "abc" }],
    ["with data twice", `${DATA} 01 61 ${DATA} 02 6263`, { text: "abc" }],
    ["with empty data", `${DATA} 00 ${DATA} 01 61`, { text: "a" }],
    ["with an end", `${FINAL} 00`, { text: "", isFinal: true }],
    ["with data in its end", `${DATA} 01 61 ${FINAL} 02 6263`, { text: "abc", isFinal: true }],
    ["whose end has not come whole", `${FINAL} 02 62`, { text: "b", isBetween: false }],
    ["that stops in a type", "a028", { text: "", isBetween: false }],
    ["that stops in a length", `${DATA} 40`, { text: "", isBetween: false }],
    ["with an unknown capsule", `1f 03 787978 ${DATA} 01 61`, { text: "a" }],
    ["with an unknown capsule of no length", `00 00 ${DATA} 01 61`, { text: "a" }],
    ["with an unknown capsule behind its end", `${FINAL} 00 1f 01 78`, { text: "", isFinal: true }],
    ["with the largest type", `ffffffffffffffff 01 78 ${DATA} 01 61`, { text: "a" }],
    ["with a length in 2 bytes", `${DATA} 4003 616263`, { text: "abc" }],
    ["with a length in 4 bytes", `${DATA} 80000003 616263`, { text: "abc" }],
    ["with type and length in 8 bytes", "c00000002028d7f0 c000000000000003 616263", { text: "abc" }],
    ["with a payload of many gigabytes", `${DATA} c000010000000000 6162`, { text: "ab", isBetween: false }],
  ])("%s", (_, wire, { text, isFinal = false, isBetween = true }) => {
    expect(decoded([hex(wire)])).toEqual({ text, isFinal, isBetween });
    expect(decoded(bytewise(hex(wire)))).toEqual({ text, isFinal, isBetween });
  });

  test.each([
    ["data behind its end", `${FINAL} 00 ${DATA} 00`],
    ["a second end", `${FINAL} 00 ${FINAL} 00`],
    ["an unknown capsule that is too long", "1f 80010001"],
    ["an unknown capsule of 2^62 - 1 bytes", "1f ffffffffffffffff"],
    ["data of 2^62 - 1 bytes", `${DATA} ffffffffffffffff`],
  ])("with %s is refused", (_, wire) => {
    for (const pieces of [[hex(wire)], bytewise(hex(wire))]) {
      expect(() => decoded(pieces)).toThrow(expect.objectContaining({ code: "stream_protocol" }));
    }
  });

  test("with the longest unknown capsule that is let through goes on behind it", () => {
    const capsule = Buffer.concat([
      capsuleHead(0x1f, CAPSULE_UNKNOWN_MAX_BYTES),
      Buffer.alloc(CAPSULE_UNKNOWN_MAX_BYTES),
    ]);
    expect(decoded([capsule, hex(`${DATA} 01 61`)]).text).toBe("a");
  });
});

test.each([
  [0, "00"],
  [63, "3f"],
  [64, "4040"],
  [16_383, "7fff"],
  [16_384, "80004000"],
  [1_073_741_823, "bfffffff"],
  [1_073_741_824, "c000000040000000"],
  [Number.MAX_SAFE_INTEGER, "c01fffffffffffff"],
])("a length of %i is written as %s", (bytes, written) => {
  expect(Buffer.from(capsuleHead(CAPSULE.data, bytes)).toString("hex")).toBe(`${DATA}${written}`);
});

test("a payload is passed on as it comes, in place", () => {
  const decoder = new CapsuleDecoder();
  decoder.decode(capsuleHead(CAPSULE.data, 1_000_000));
  const chunk = new Uint8Array(1_000);
  const [piece] = decoder.decode(chunk);
  expect([piece!.buffer === chunk.buffer, piece!.length]).toEqual([true, 1_000]);
});

test("however the wire is cut, the bytes are the same", () => {
  const capsule = fc.record({
    type: fc.oneof(fc.constant(CAPSULE.data), fc.constantFrom(0, 0x17, 0x2028d7f2, 2 ** 40)),
    payload: fc.uint8Array({ maxLength: 200 }),
  });
  fc.assert(
    fc.property(
      fc.array(capsule, { maxLength: 12 }),
      fc.option(fc.uint8Array({ maxLength: 40 })),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
      (capsules, last, cuts) => {
        const all = last === null ? capsules : [...capsules, { type: CAPSULE.finalData, payload: last }];
        const wire = Buffer.concat(
          all.flatMap(({ type, payload }) => [capsuleHead(type, payload.length), payload]),
        );
        const pieces: Buffer[] = [];
        for (let at = 0, i = 0; at < wire.length; i++) {
          const end = at + cuts[i % cuts.length]!;
          pieces.push(wire.subarray(at, end));
          at = end;
        }
        const isData = ({ type }: { type: number }) => type === CAPSULE.data || type === CAPSULE.finalData;
        const expected = Buffer.concat(all.filter(isData).map(({ payload }) => payload));
        expect(decoded(pieces)).toEqual({
          text: expected.toString("latin1"),
          isFinal: last !== null,
          isBetween: true,
        });
      },
    ),
    { numRuns: 300 },
  );
});
