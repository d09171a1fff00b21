import { expect, test } from "vitest";
import { REVOCATIONS_PAGE_MAX } from "../../protocol/limits.ts";
import { parseRevocations } from "../../protocol/revocations.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { outcome } from "./outcome.ts";

const KEY = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const ID = newRequestId();
const ENTRY = { seq: 4, at: 1_767_225_600, kind: "handle", client: "shop", id: ID };

const page = (entries: unknown, next: unknown = 9) => JSON.stringify({ next, entries });
const entry = (changes: object) => page([{ ...ENTRY, ...changes }]);

test("a page is read, with each kind of entry", () => {
  const entries = [
    { ...ENTRY, seq: 1, kind: "client", id: "shop" },
    { ...ENTRY, seq: 2, kind: "key", id: KEY },
    { ...ENTRY, seq: 3, kind: "token" },
    ENTRY,
    { ...ENTRY, seq: 5, kind: "rule", id: KEY },
  ];
  expect(parseRevocations(page(entries))).toEqual({ page: { next: 9, entries }, unknown: 0 });
  expect(parseRevocations(page([], 0))).toEqual({ page: { next: 0, entries: [] }, unknown: 0 });
});

test("what a newer edge may add is left alone", () => {
  const more = { ...ENTRY, by: "operator" };
  const unknown = { seq: 5, at: 1, kind: "issuer", client: 7 };
  const read = parseRevocations(JSON.stringify({ next: 5, entries: [more, unknown], more: true }));
  expect(read).toEqual({ page: { next: 5, entries: [ENTRY] }, unknown: 1 });
});

test("a page may be full, and not more", () => {
  const many = (count: number) =>
    page(
      Array.from({ length: count }, (_, seq) => ({ ...ENTRY, seq: seq + 1 })),
      count,
    );
  expect(parseRevocations(many(REVOCATIONS_PAGE_MAX)).page.entries).toHaveLength(REVOCATIONS_PAGE_MAX);
  expect(outcome(() => parseRevocations(many(REVOCATIONS_PAGE_MAX + 1)))).toEqual({
    error: "answer_invalid",
  });
});

test.each<[what: string, text: string]>([
  ["nothing", ""],
  ["another's page", "<h1>503</h1>"],
  ["null", "null"],
  ["a list", "[]"],
  ["no next", page([], null)],
  ["a next that is no count", page([], -1)],
  ["a next as text", page([], "9")],
  ["no entries", JSON.stringify({ next: 9 })],
  ["entries that are no list", page({ 0: ENTRY })],
  ["an entry that is null", page([null])],
  ["an entry that is text", page(["shop"])],
  ["no seq", entry({ seq: undefined })],
  ["a seq of 0", entry({ seq: 0 })],
  ["the same seq twice", page([ENTRY, ENTRY])],
  ["a seq that goes back", page([ENTRY, { ...ENTRY, seq: 3 }])],
  ["a next before the last entry", page([ENTRY], 3)],
  ["no at", entry({ at: undefined })],
  ["an at that is no whole number", entry({ at: 1.5 })],
  ["no kind", entry({ kind: undefined })],
  ["no client", entry({ client: undefined })],
  ["a client that is none", entry({ client: "Shop" })],
  ["no id", entry({ id: undefined })],
  ["an id of another form", entry({ id: "shop" })],
  ["a key that is no thumbprint", entry({ kind: "key", id: ID })],
  ["a client that is another one", entry({ kind: "client", id: "other" })],
  ["a kind that every object has", entry({ kind: "constructor" }).replace('"seq":4', '"seq":"4"')],
])("%s is refused", (_what, text) => {
  expect(outcome(() => parseRevocations(text))).toEqual({ error: "answer_invalid" });
});
