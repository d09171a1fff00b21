import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameReader } from "../../../relay-node/websocket/frame-reader.ts";
import { unmask } from "../../../relay-node/websocket/mask.ts";

/** One frame as a client sends it. */
function frame(
  opcode: number,
  payload: Uint8Array | string = "",
  { fin = true, mask = [1, 2, 3, 4], rsv = 0, isMasked = true, long = false } = {},
): Buffer {
  const bytes = Buffer.from(payload as string);
  const length = bytes.length;
  const size =
    long || length >= 65_536
      ? [127, 0, 0, 0, 0, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255]
      : length >= 126
        ? [126, length >> 8, length & 255]
        : [length];
  size[0]! |= isMasked ? 0x80 : 0;
  const masked = bytes.map((byte, index) => byte ^ (isMasked ? mask[index % 4]! : 0));
  return Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, ...size, ...(isMasked ? mask : []), ...masked]);
}

/** What a reader tells, with pieces of one frame put together. */
function read(chunks: readonly Buffer[], maxMessage = 1_000_000): string[] {
  const told: string[] = [];
  let gathered = "";
  const reader = new FrameReader(maxMessage, {
    bytes: (piece, isLast) => {
      gathered += piece.toString("latin1");
      if (!isLast) return;
      told.push(`bytes ${gathered}`);
      gathered = "";
    },
    text: (message) => told.push(`text ${message.toString()}`),
    ping: (payload) => told.push(`ping ${payload.toString()}`),
    pong: () => told.push("pong"),
    close: (code) => told.push(`close ${code}`),
  });
  for (const chunk of chunks) reader.read(Buffer.from(chunk));
  return told;
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

test("frames are the same however they are cut on the way", () => {
  const payload = fc.string({ unit: "binary-ascii", maxLength: 300 });
  const one = fc.oneof(
    fc.record({ opcode: fc.constantFrom(1, 2), payload }),
    fc.record({
      opcode: fc.constantFrom(9, 10),
      payload: fc.string({ unit: "binary-ascii", maxLength: 125 }),
    }),
  );
  const mask = fc.tuple(...Array.from({ length: 4 }, () => fc.nat(255)));
  fc.assert(
    fc.property(
      fc.array(fc.record({ one, mask }), { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
      (frames, sizes) => {
        const bytes = Buffer.concat(
          frames.map(({ one: { opcode, payload: text }, mask: key }) => frame(opcode, text, { mask: key })),
        );
        const expected = frames.flatMap(({ one: { opcode, payload: text } }) => {
          if (opcode === 1) return [`text ${text}`];
          if (opcode === 2) return text === "" ? [] : [`bytes ${text}`];
          return opcode === 9 ? [`ping ${text}`] : ["pong"];
        });
        expect(read(cut(bytes, sizes))).toEqual(expected);
      },
    ),
  );
});

test("a mask is undone wherever the bytes stand", () => {
  const key = [0xde, 0xad, 0xbe, 0xef];
  const mask = Buffer.from(key).readInt32BE();
  for (let offset = 0; offset < 9; offset++) {
    for (const length of [0, 1, 3, 31, 32, 33, 70, 200]) {
      for (let at = 0; at < 6; at++) {
        const plain = Buffer.from(Array.from({ length }, (_, index) => (index * 7) & 255));
        const bytes = Buffer.alloc(300).subarray(offset, offset + length);
        plain.forEach((byte, index) => (bytes[index] = byte ^ key[(at + index) % 4]!));
        unmask(bytes, mask, at);
        expect(bytes.equals(plain)).toBe(true);
      }
    }
  }
});

test("a message in several frames, with a ping in between", () => {
  const text = [
    frame(1, "in ", { fin: false }),
    frame(9, "?"),
    frame(0, "pieces ", { fin: false }),
    frame(0, "ü"),
  ];
  expect(read(text)).toEqual(["ping ?", "text in pieces ü"]);
  const binary = [
    frame(2, "in ", { fin: false }),
    frame(0, "", { fin: false }),
    frame(0, "pieces"),
    frame(2, "next"),
  ];
  expect(read(binary)).toEqual(["bytes in ", "bytes pieces", "bytes next"]);
});

test("a binary message is handed on before it is whole", () => {
  expect(read([frame(2, "a".repeat(100)).subarray(0, 50)])).toEqual([]);
  const pieces: [number, boolean][] = [];
  const reader = new FrameReader(1_000, {
    bytes: (piece, isLast) => pieces.push([piece.length, isLast]),
    text: () => {},
    ping: () => {},
    pong: () => {},
    close: () => {},
  });
  const bytes = frame(2, "a".repeat(100));
  reader.read(bytes.subarray(0, 50));
  reader.read(bytes.subarray(50));
  expect(pieces).toEqual([
    [44, false],
    [56, true],
  ]);
});

test("what comes behind a close is not read", () => {
  expect(read([Buffer.concat([frame(8, "\u0003\u00e8".slice(0, 0)), frame(2, "more")])])).toEqual([
    "close 1005",
  ]);
  expect(read([frame(8, Buffer.from([0x03, 0xe8, 0x6f, 0x6b])), frame(2, "more")])).toEqual(["close 1000"]);
});

describe("refused", () => {
  const close = (code: number, reason: Uint8Array | string = "") =>
    frame(8, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason as string)]));
  test.each<[string, readonly Buffer[], number]>([
    ["a reserved bit", [frame(2, "x", { rsv: 4 })], 1_002],
    ["another one", [frame(2, "x", { rsv: 1 })], 1_002],
    ["a frame without a mask", [frame(2, "x", { isMasked: false })], 1_002],
    ["an opcode for data that there is not", [frame(3, "x")], 1_002],
    ["one for control", [frame(11, "x")], 1_002],
    ["a control frame in parts", [frame(9, "x", { fin: false })], 1_002],
    ["one that is too long", [frame(9, "x".repeat(126))], 1_002],
    ["a part without a beginning", [frame(0, "x")], 1_002],
    ["a beginning within a message", [frame(2, "x", { fin: false }), frame(2, "y")], 1_002],
    ["a message that is too long", [frame(2, "x".repeat(101))], 1_009],
    [
      "a text of which more would be gathered",
      [frame(1, "x".repeat(60), { fin: false }), frame(0, "x".repeat(41))],
      1_009,
    ],
    ["one that is so in parts", [frame(2, "x".repeat(60), { fin: false }), frame(0, "x".repeat(41))], 1_009],
    ["a length beyond all that is", [Buffer.from([0x82, 0xff, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])], 1_009],
    ["a text that is no UTF-8", [frame(1, Buffer.from([0xc3, 0x28]))], 1_007],
    ["one that is cut in a character", [frame(1, Buffer.from([0xc3]), { fin: false }), frame(0, "")], 1_007],
    ["half a close code", [frame(8, "x")], 1_002],
    ["a close code that is not sent", [close(1_005)], 1_002],
    ["one that there is not", [close(2_999)], 1_002],
    ["a reason that is no UTF-8", [close(1_000, Buffer.from([0xff]))], 1_007],
  ])("%s", (_what, chunks, code) => {
    expect(() => read(chunks, 100)).toThrow(expect.objectContaining({ name: "FrameError", code }));
  });

  test("but not a length that is written longer than it need be", () => {
    expect(read([frame(2, "short", { long: true })])).toEqual(["bytes short"]);
  });
});

test("a text is gathered up to a length of its own, bytes go on", () => {
  const most = 16_000_000;
  const piece = frame(0, "x".repeat(500_000), { fin: false });
  const first = (opcode: number) => frame(opcode, "", { fin: false });
  expect(() => read([first(1), piece, piece, piece], most)).toThrow("a message is too long");
  expect(() => read([first(2), piece, piece, piece], most)).not.toThrow();
});
