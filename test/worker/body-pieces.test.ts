import { describe, expect, test } from "vitest";
import { isRelayError } from "../../protocol/errors.ts";
import { type Bounds, piecesOf } from "../../worker/deliveries/pieces.ts";
import { Uploads } from "../../worker/deliveries/uploads.ts";
import { DELIVERY_CHUNK_BYTES as CHUNK, INTAKE_BYTES, INTAKE_BYTES_PER_SENDER } from "../../worker/limits.ts";

/** A body that comes in parts of one length, each byte telling where it stands. */
function bodyOf(size: number, part: number, end: "whole" | "broken" = "whole"): ReadableStream {
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent < size) {
        const length = Math.min(part, size - sent);
        controller.enqueue(Uint8Array.from({ length }, (_, i) => (sent + i) % 251));
        sent += length;
      } else if (end === "whole") controller.close();
      else controller.error(new Error("the connection broke"));
    },
  });
}

async function taken(body: ReadableStream | null, bounds: Bounds): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of piecesOf(body, bounds)) pieces.push(piece);
  return pieces;
}

async function refusal(body: ReadableStream | null, bounds: Bounds): Promise<string> {
  const error: unknown = await taken(body, bounds).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return isRelayError(error) ? `${error.code} ${error.reached}` : String(error);
}

describe("a body in pieces", () => {
  test.for([
    [0, 1, []],
    [1, 1, [1]],
    [CHUNK - 1, 4_096, [CHUNK - 1]],
    [CHUNK, 4_096, [CHUNK]],
    [CHUNK + 1, 4_096, [CHUNK, 1]],
    [2 * CHUNK, 3 * CHUNK, [CHUNK, CHUNK]],
    [3 * CHUNK + 7, 65_537, [CHUNK, CHUNK, CHUNK, 7]],
  ] as const)("%i bytes that come by %i", async ([size, part, lengths]) => {
    for (const expected of [size, undefined]) {
      const pieces = await taken(bodyOf(size, part), { expected, maxBytes: 4 * CHUNK });
      expect(pieces.map(({ length }) => length)).toEqual(lengths);
      // What is sent to a store is sent with all of its buffer.
      expect(pieces.map(({ buffer }) => buffer.byteLength)).toEqual(lengths);
      const whole = pieces.flatMap((piece) => Array.from(piece));
      expect(whole.every((byte, i) => byte === i % 251)).toBe(true);
    }
  });

  test("none at all", async () => {
    expect(await taken(null, { expected: 0, maxBytes: 10 })).toEqual([]);
  });

  test.for([
    ["shorter than was announced", bodyOf(9, 4), { expected: 10, maxBytes: 100 }, "body_cut no"],
    ["none, where one was announced", null, { expected: 10, maxBytes: 100 }, "body_cut no"],
    ["longer than was announced", bodyOf(11, 4), { expected: 10, maxBytes: 100 }, "body_cut no"],
    ["broken", bodyOf(9, 4, "broken"), { expected: undefined, maxBytes: 100 }, "body_cut no"],
    ["broken at its end", bodyOf(10, 4, "broken"), { expected: 10, maxBytes: 100 }, "body_cut no"],
    ["longer than is taken", bodyOf(101, 4), { expected: undefined, maxBytes: 100 }, "too_large no"],
  ] as const)("%s", async ([, body, bounds, code]) => {
    expect(await refusal(body, bounds)).toBe(code);
  });
});

describe("bodies that are taken in at once", () => {
  test("have to fit", () => {
    const uploads = new Uploads();
    const half = uploads.admit(INTAKE_BYTES / 2, "a");
    uploads.admit(INTAKE_BYTES / 2, "b");
    expect(() => uploads.admit(1, undefined)).toThrow("concurrency_limited");
    half();
    half();
    uploads.admit(INTAKE_BYTES / 2, "b2");
    expect(() => uploads.admit(1, "c")).toThrow("concurrency_limited");
  });

  test("leave room for other senders", () => {
    const uploads = new Uploads();
    const room = uploads.admit(INTAKE_BYTES_PER_SENDER, "slow");
    expect(() => uploads.admit(1, "slow")).toThrow("of this sender");
    uploads.admit(INTAKE_BYTES - INTAKE_BYTES_PER_SENDER, "other");
    room();
    uploads.admit(INTAKE_BYTES_PER_SENDER, "slow");
  });
});
