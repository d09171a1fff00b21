import { expect, test } from "vitest";
import { TOLD_BYTES_MIN } from "../../relay-node/limits.ts";
import { ToldEntries } from "../../relay-node/told-entries.ts";

const textOf = (entries: ToldEntries) => Buffer.from(entries.body()).toString("latin1");

test("lines become a body, and go on after it was asked for", () => {
  const entries = new ToldEntries();
  expect([entries.count, textOf(entries)]).toEqual([0, ""]);
  entries.add("\none\ntwo", 2);
  const body = entries.body();
  entries.add("\nthree", 1);
  expect(Buffer.from(body).toString()).toBe("one\ntwo\n");
  expect([entries.count, textOf(entries)]).toEqual([3, "one\ntwo\nthree\n"]);
});

test("there is room for more than there was at first, to the last byte", () => {
  const entries = new ToldEntries();
  const line = `\n${"x".repeat(TOLD_BYTES_MIN - 2)}`;
  for (let added = 0; added < 3; added++) entries.add(line, 1);
  expect(textOf(entries)).toBe(`${line.slice(1)}\n`.repeat(3));
});

test("what they were written to serves others", () => {
  const first = new ToldEntries();
  expect(first.release()).toBeUndefined();
  first.add("\na longer one", 1);
  const bytes = first.release()!;
  const next = new ToldEntries(bytes);
  next.add("\nnext", 1);
  expect(textOf(next)).toBe("next\n");
  expect(next.body().buffer).toBe(bytes.buffer);
});
