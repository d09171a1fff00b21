import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { STREAM_MESSAGE_MAX_BYTES, STREAM_WINDOW_BYTES } from "../../protocol/limits.ts";
import { StreamEnd } from "../../protocol/stream-end.ts";
import { RelayError } from "../../protocol/errors.ts";
import { Pair, type PairEnd } from "../support/stream-pair.ts";

const side = fc.constantFrom("client" as const, "node" as const);
const STEP = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("send" as const), side, count: fc.nat(3_000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("deliver" as const), side, count: fc.nat(6) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("consume" as const), side, count: fc.nat(3_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("look" as const), side, count: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("ping" as const), side, count: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("finish" as const), side, count: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const), side, count: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("connect" as const), side, count: fc.constant(0) }) },
);
type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never;

function take(pair: Pair, step: Step): void {
  const one = pair[step.side];
  if (step.do === "send") one.send(step.count);
  else if (step.do === "deliver") one.deliver(step.count);
  else if (step.do === "consume") one.consume(step.count);
  else if (step.do === "look") one.end.acknowledge();
  else if (step.do === "ping") one.end.ping();
  else if (step.do === "finish") one.finish();
  else if (step.do === "cut") pair.cut();
  else pair.connect();
}

/** Some windows fit into a message, some into none; the last is larger than what acknowledges by itself. */
const WINDOW = fc.constantFrom(1, 7, 500, 4_096, STREAM_WINDOW_BYTES);

function expectWhole(from: PairEnd, to: PairEnd): void {
  expect(to.received).toBe(from.sent);
  expect(from.mostUnderWay).toBeLessThanOrEqual(from.window);
}

describe("whatever is split, read late, cut and taken over", () => {
  test("every byte comes once and in order, and both ends are done", () => {
    fc.assert(
      fc.property(WINDOW, fc.array(STEP, { maxLength: 150 }), (window, steps) => {
        const pair = new Pair(window);
        for (const step of steps) take(pair, step);
        pair.client.finish();
        pair.node.finish();
        pair.settle();
        // Whoever was done before the other heard so still answers on the next connection.
        for (let again = 0; again < 2 && !(pair.client.heardDone && pair.node.heardDone); again++) {
          pair.connect();
          pair.settle();
        }
        expect([pair.client.error, pair.node.error]).toEqual([undefined, undefined]);
        expect([pair.client.heardDone, pair.node.heardDone]).toEqual([true, true]);
        expect([pair.client.heardFin, pair.node.heardFin]).toEqual([true, true]);
        expectWhole(pair.client, pair.node);
        expectWhole(pair.node, pair.client);
      }),
      { numRuns: 1_500 },
    );
  });

  test("what waits for the other end is known: an answer is due to nobody who is not waiting", () => {
    fc.assert(
      fc.property(WINDOW, fc.array(STEP, { maxLength: 60 }), (window, steps) => {
        const pair = new Pair(window);
        for (const step of steps) take(pair, step);
        pair.settle();
        for (const one of [pair.client, pair.node]) {
          const isOpen = !one.heardDone;
          expect([isOpen, one.end.isWaiting]).toEqual([isOpen, false]);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("a message against the rules", () => {
  /** What the client sends that no right end would, as things stand. */
  const BAD: Readonly<Record<string, (pair: Pair) => (Uint8Array | string)[]>> = {
    "no JSON": () => ["hello"],
    "another type": () => ['{"type":"hello"}'],
    "a second open": () => [
      JSON.stringify({
        type: "open",
        stream: "AAAAAAAAAAAAAAAAAAAAAA",
        egress: "",
        node: "n",
        window: 1,
        received: 0,
      }),
    ],
    "an ack of what was never sent": ({ node }) => [ack(node.sent + 1)],
    "an ack of the end before it": ({ node }) => [
      JSON.stringify({ type: "ack", bytes: node.sent + (node.isAllSent ? 1 : 0), fin: true }),
    ],
    "a fin of another length": ({ node }) => [JSON.stringify({ type: "fin", bytes: node.end.received + 1 })],
    "more than the window": ({ node }) => [
      countingFrom(node.received, node.window - node.unread),
      countingFrom(node.received + node.window - node.unread, 1),
    ],
    "a message that is too long": () => [new Uint8Array(STREAM_MESSAGE_MAX_BYTES + 1)],
    "bytes after the end": ({ node }) => [
      JSON.stringify({ type: "fin", bytes: node.end.received }),
      Uint8Array.of(1),
    ],
  };

  test.each(Object.keys(BAD))("%s ends the stream at both ends, typed", (what) => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 40 }), (steps) => {
        const pair = new Pair(500);
        for (const step of steps) take(pair, step);
        if (!pair.isConnected) pair.connect();
        pair.node.deliver(Number.POSITIVE_INFINITY);
        fc.pre(!pair.node.heardDone);
        for (const message of BAD[what]!(pair)) pair.node.end.receive(message);
        // Its first half may have been the right end.
        fc.pre(!pair.node.heardDone);
        expect(pair.node.error?.code).toBe("stream_protocol");
        expect(pair.node.end.wasReset).toBe(true);
        fc.pre(!pair.client.heardDone);
        pair.client.deliver(Number.POSITIVE_INFINITY);
        if (!pair.client.heardDone) {
          expect(pair.client.error).toMatchObject({ code: "stream_protocol", reached: "yes" });
        }
        // Nothing is heard or sent by what was reset.
        pair.node.end.receive(ack(0));
        expect(pair.node.end.room).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  test("an ack that takes one back", () => {
    const pair = new Pair(500);
    pair.node.send(100);
    pair.settle();
    pair.node.end.receive(ack(99));
    expect(pair.node.error?.code).toBe("stream_protocol");
  });
});

describe("a connection that takes over", () => {
  const OFFSETS = [
    ["that has received more than was sent", 101, 50],
    ["that has received less than it acknowledged", 99, 50],
    ["that has sent less than came", 100, 49],
    ["that has sent more than it may", 100, 50 + 501],
  ] as const;
  test.each(OFFSETS)("of an end %s is refused, and nothing is changed", (_what, received, sent) => {
    const pair = new Pair(500);
    pair.node.send(100);
    pair.client.send(50);
    pair.settle();
    expect(() => pair.node.end.checkOffsets(received, sent)).toThrow(/^stream_protocol/);
    pair.node.send(20);
    pair.client.finish();
    pair.node.finish();
    pair.settle();
    expect([pair.client.heardDone, pair.node.heardDone, pair.client.received]).toEqual([true, true, 120]);
  });
});

test("what does not fit is the owner's mistake", () => {
  const pair = new Pair(10);
  expect(() => pair.node.end.send(new Uint8Array(11))).toThrow("room for 10 bytes");
  pair.node.finish();
  expect(pair.node.end.room).toBe(0);
});

test("a reset tells the other end why, and not at length", () => {
  const pair = new Pair(10);
  pair.node.end.reset(new RelayError("target_reset", "x".repeat(900)));
  pair.node.end.reset(new RelayError("stream_idle", "again"));
  pair.client.deliver(9);
  expect(pair.client.error).toMatchObject({ code: "target_reset", reached: "yes", retryable: false });
  expect(pair.client.error!.detail).toHaveLength(500);
});

test("long chunks are sent as messages of a permitted length", () => {
  const messages: (Uint8Array | string)[] = [];
  const events = { data() {}, fin() {}, room() {}, reset() {}, done() {} };
  const end = new StreamEnd(STREAM_WINDOW_BYTES, events);
  end.attach({ send: (message) => messages.push(message) }, 0);
  end.send(new Uint8Array(STREAM_MESSAGE_MAX_BYTES * 2 + 1));
  expect(messages.map(({ length }) => length)).toEqual([
    STREAM_MESSAGE_MAX_BYTES,
    STREAM_MESSAGE_MAX_BYTES,
    1,
  ]);
});

/** Bytes as an end of a pair expects them behind so many others. */
function countingFrom(start: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (start + index) % 251);
}

function ack(bytes: number): string {
  return JSON.stringify({ type: "ack", bytes });
}
