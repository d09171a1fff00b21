import { expect, test } from "vitest";
import { Lately } from "../../../relay-node/proxy/lately.ts";

test.each([
  [0, 1],
  [999, 1],
  [1_000, undefined],
  // A clock that was set back.
  [-1, undefined],
])("what was learned lasts its while: at %d ms %s", (ms, value) => {
  const lately = new Lately<number>({ max: 10, ms: 1_000 });
  lately.set("a", 1, 5_000);
  expect(lately.get("a", 5_000 + ms)).toBe(value);
  expect(lately.size).toBe(value === undefined ? 0 : 1);
});

test("being looked up makes it last no longer, being learned anew does", () => {
  const lately = new Lately<number>({ max: 10, ms: 1_000 });
  lately.set("a", 1, 0);
  lately.get("a", 900);
  expect(lately.get("a", 1_000)).toBeUndefined();
  lately.set("b", 1, 0);
  lately.set("b", 2, 900);
  expect(lately.get("b", 1_500)).toBe(2);
});

test("what was used least recently is forgotten first", () => {
  const lately = new Lately<number>({ max: 2, ms: 1_000 });
  for (const key of ["a", "b"]) lately.set(key, 1, 0);
  lately.get("a", 0);
  lately.set("c", 1, 0);
  expect(["a", "b", "c"].map((key) => lately.get(key, 0))).toEqual([1, undefined, 1]);
});

test("what is meant is forgotten, and nothing else", () => {
  const lately = new Lately<number>({ max: 3, ms: 1_000 });
  for (const [value, key] of ["a", "b", "c"].entries()) lately.set(key, value, 0);
  lately.deleteWhere((value) => value !== 1);
  expect(["a", "b", "c"].map((key) => lately.get(key, 0))).toEqual([undefined, 1, undefined]);
});

test("what is taken back is gone", () => {
  const lately = new Lately<number>({ max: 2, ms: 1_000 });
  lately.set("a", 1, 0);
  lately.delete("a");
  expect([lately.get("a", 0), lately.size]).toEqual([undefined, 0]);
});
