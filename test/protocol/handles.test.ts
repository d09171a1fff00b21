import { expect, test } from "vitest";
import { isHandle } from "../../protocol/handles.ts";
import { newHandle } from "../../worker/handles.ts";

test("what the edge makes has the form", () => {
  expect(isHandle(newHandle())).toBe(true);
});

test.each([
  ["", "nothing"],
  [`hf_${"a".repeat(31)}`, "too short"],
  [`hf_${"a".repeat(33)}`, "too long"],
  [`hf_${"a".repeat(31)}+`, "another alphabet"],
  [`hf_${"a".repeat(32)}\n`, "a line's end behind it"],
  [`HF_${"a".repeat(32)}`, "another prefix"],
])("%j has not: %s", (text) => {
  expect(isHandle(text)).toBe(false);
});
