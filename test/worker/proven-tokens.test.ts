import { describe, expect, test } from "vitest";
import { PROVEN_TOKEN_MAX_BYTES } from "../../worker/limits.ts";
import { ProvenTokens } from "../../worker/proven-tokens.ts";

describe("what was proven", () => {
  test("is known by the token and its signer, and by nothing less", () => {
    const proven = new ProvenTokens();
    proven.add("a.b.c", "key");
    expect(proven.has("a.b.c", "key")).toBe(true);
    for (const [token, signer] of [
      ["a.b.c", "other"],
      ["a.b.c", undefined],
      ["a.b.d", "key"],
      ["a.b.c ", "key"],
    ] as const) {
      expect(proven.has(token, signer)).toBe(false);
    }
    expect(proven.has("x", undefined)).toBe(false);
  });

  test("is bounded in number, the oldest first, and in size", () => {
    const proven = new ProvenTokens(2);
    for (const token of ["a", "b", "a", "c"]) proven.add(token, "key");
    expect(["a", "b", "c"].filter((token) => proven.has(token, "key"))).toEqual(["a", "c"]);
    const [fits, tooLong] = ["x".repeat(PROVEN_TOKEN_MAX_BYTES), "y".repeat(PROVEN_TOKEN_MAX_BYTES + 1)];
    proven.add(fits, "key");
    proven.add(tooLong, "key");
    expect([proven.has(fits, "key"), proven.has(tooLong, "key")]).toEqual([true, false]);
  });
});
