import { describe, expect, test } from "vitest";
import { isRelayError } from "../../protocol/errors.ts";
import { STREAM_CONTROL_MAX_BYTES } from "../../protocol/limits.ts";
import { errorOfReset, parseStreamMessage } from "../../protocol/stream-messages.ts";

const OPEN = {
  type: "open",
  stream: "AAAAAAAAAAAAAAAAAAAAAA",
  egress: "203.0.113.7",
  node: "fra-1",
  window: 1_048_576,
  received: 0,
};
const PARKED = {
  type: "parked",
  stream: "AAAAAAAAAAAAAAAAAAAAAA",
  node: "fra-1",
  window: 1_048_576,
  seconds: 25,
};
const without = (name: keyof typeof OPEN) =>
  Object.fromEntries(Object.entries(OPEN).filter(([key]) => key !== name));

describe("a control message", () => {
  test.each<readonly [what: string, message: object, read: object]>([
    ["ping", { type: "ping" }, { type: "ping" }],
    ["pong, with what a later version may add", { type: "pong", more: 1 }, { type: "pong" }],
    ["ack", { type: "ack", bytes: 7 }, { type: "ack", bytes: 7, fin: false }],
    ["ack of the end", { type: "ack", bytes: 0, fin: true }, { type: "ack", bytes: 0, fin: true }],
    ["ack with an odd fin", { type: "ack", bytes: 0, fin: 1 }, { type: "ack", bytes: 0, fin: false }],
    ["fin", { type: "fin", bytes: 12 }, { type: "fin", bytes: 12 }],
    [
      "rst",
      { type: "rst", code: "stream_idle", detail: "x" },
      { type: "rst", code: "stream_idle", detail: "x" },
    ],
    ["rst without a detail", { type: "rst", code: "x" }, { type: "rst", code: "x", detail: "" }],
    ["open", OPEN, OPEN],
    ["parked", PARKED, PARKED],
    ["dial, with what a later version may add", { type: "dial", more: 1 }, { type: "dial" }],
  ])("%s is read", (_what, message, read) => {
    expect(parseStreamMessage(JSON.stringify(message))).toEqual(read);
  });

  test.each<readonly [what: string, text: string]>([
    ["nothing", ""],
    ["no JSON", "{"],
    ["a number", "1"],
    ["null", "null"],
    ["a list", "[]"],
    ["no type", "{}"],
    ["another type", '{"type":"hello"}'],
    ["a type that is no string", '{"type":["ping"]}'],
    ["ack without bytes", '{"type":"ack"}'],
    ["ack of a part of a byte", '{"type":"ack","bytes":1.5}'],
    ["ack of less than nothing", '{"type":"ack","bytes":-1}'],
    ["ack beyond what a number counts", '{"type":"ack","bytes":9007199254740993}'],
    ["ack with bytes as text", '{"type":"ack","bytes":"1"}'],
    ["fin without bytes", '{"type":"fin"}'],
    ["rst without a code", '{"type":"rst"}'],
    ["one that is too long", JSON.stringify({ type: "ping", more: "x".repeat(STREAM_CONTROL_MAX_BYTES) })],
    ...Object.keys(OPEN)
      .filter((name) => name !== "type")
      .map((name) => [`open without ${name}`, JSON.stringify(without(name as keyof typeof OPEN))] as const),
    ...Object.keys(PARKED)
      .filter((name) => name !== "type")
      .map((name) => [`parked without ${name}`, JSON.stringify({ ...PARKED, [name]: undefined })] as const),
    ["parked without a window", JSON.stringify({ ...PARKED, window: 0 })],
    ["open with an id that is none", JSON.stringify({ ...OPEN, stream: "x" })],
    ["open without a window", JSON.stringify({ ...OPEN, window: 0 })],
  ])("%s is refused", (_what, text) => {
    let error: unknown;
    try {
      parseStreamMessage(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(isRelayError(error) && error.code).toBe("stream_protocol");
  });
});

test("a reset tells its error; one that is not known is a stream given up", () => {
  expect(errorOfReset({ code: "target_reset", detail: "gone" })).toMatchObject({
    code: "target_reset",
    detail: "gone",
  });
  const strange = errorOfReset({ code: `new-${"x".repeat(100)}`, detail: "secret" });
  expect(strange.code).toBe("stream_cancelled");
  expect(strange.detail.length).toBeLessThan(150);
  expect(errorOfReset({ code: "target_reset", detail: "x".repeat(900) }).detail).toHaveLength(500);
  // A name that every object has is no code.
  expect(errorOfReset({ code: "toString", detail: "" }).code).toBe("stream_cancelled");
});
