import { describe, expect, test } from "vitest";
import { Cancellation } from "../../relay-node/cancellation.ts";

describe("what is given up", () => {
  test("tells all who listen, once, by the first reason", () => {
    const cancellation = new Cancellation();
    const told: string[] = [];
    const first = () => told.push("first");
    const left = () => told.push("left");
    cancellation.addEventListener("abort", first);
    cancellation.addEventListener("abort", left);
    cancellation.removeEventListener("abort", left);
    cancellation.removeEventListener("abort", left);
    cancellation.throwIfAborted();
    const reason = new Error("no more");
    cancellation.abort(reason);
    cancellation.abort(new Error("again"));
    expect([told, cancellation.aborted, cancellation.reason]).toEqual([["first"], true, reason]);
    expect(() => cancellation.throwIfAborted()).toThrow(reason);
  });

  test.each([
    ["before", true],
    ["behind", false],
  ])("is told by Node's own signal, asked for %s it", (_when, isAhead) => {
    const cancellation = new Cancellation();
    const ahead = isAhead ? cancellation.signal : undefined;
    cancellation.abort(new Error("no more"));
    const signal = ahead ?? cancellation.signal;
    expect([signal.aborted, signal.reason]).toEqual([true, cancellation.reason]);
    expect(cancellation.signal).toBe(signal);
  });
});
