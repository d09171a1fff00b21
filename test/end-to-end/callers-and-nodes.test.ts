import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RefusalStack, startRefusalStack } from "../support/refusal-stack.ts";

/** Envelopes that our client never writes. None may take a node from the other callers. */

let relay: RefusalStack;
beforeAll(async () => {
  relay = await startRefusalStack();
});
afterAll(() => relay.stop());

const pieces = (count: number, value: string) =>
  Array.from({ length: count }, (_, index) => `Relay-Fields-${index + 1}: ${value}`);

describe("an envelope that no parser likes", () => {
  test.each([
    ["a control character", ["Relay-Fields-1: a\u0001b"], "fields_invalid"],
    ["a delete character", ["Relay-Fields-1: a\u007fb"], "fields_invalid"],
    ["white space", ["Relay-Fields-1: QTpi Cg"], "fields_invalid"],
    ["thousands of pieces", pieces(3_000, "QTpi"), "fields_invalid"],
    ["thousands of empty pieces", pieces(3_000, ""), undefined],
  ])("%s takes no node out of use", async (_what, fields, code) => {
    // Each takes the node that its id leads to: of several, all would be met.
    for (let i = 0; i < 4; i++) {
      const answer = await relay.ask({ fields });
      expect(answer?.field("relay-error")).toBe(code);
    }
    expect((await relay.ask())?.status).toBe(200);
    expect(readFileSync(relay.stack.logs.edge, "utf8")).not.toMatch(/is down/);
  });
});
