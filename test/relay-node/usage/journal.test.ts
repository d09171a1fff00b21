import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Counts, CountsByMonth, type Entry } from "../../../relay-node/usage/counts.ts";
import { lineOf, readHead, readLine } from "../../../relay-node/usage/journal-lines.ts";
import { UsageJournal } from "../../../relay-node/usage/journal.ts";

const counts = (changes: Partial<Counts> = {}): Counts => ({
  requests: 0,
  refusals: 0,
  streams: 0,
  streamMs: 0,
  bytesUp: 0,
  bytesDown: 0,
  ...changes,
});
const entry = (client: string, changes: Partial<Counts>, month = "2026-11"): Entry => ({
  month,
  client,
  counts: counts(changes),
});

describe("lines", () => {
  const line = "2026-11 shop 1 2 3 4500 512 9007199254740991 .";

  test("are read as they were written", () => {
    const written = entry("shop", {
      requests: 1,
      refusals: 2,
      streams: 3,
      streamMs: 4_500,
      bytesUp: 512,
      bytesDown: Number.MAX_SAFE_INTEGER,
    });
    expect(lineOf(written)).toBe(`\n${line}`);
    expect(readLine(line)).toEqual(written);
  });

  // A number that lost its last digits is a number still.
  test.each(Array.from(line, (_, length) => line.slice(0, length)))("%j is no whole line", (part) => {
    expect(readLine(part)).toBeUndefined();
  });

  test.each([
    "2026-13 shop 1 0 0 0 0 0 .",
    "2026-11 Shop 1 0 0 0 0 0 .",
    "2026-11 shop -1 0 0 0 0 0 .",
    "2026-11 shop 1.5 0 0 0 0 0 .",
    "2026-11 shop 1 0 0 0 0 0 0 .",
    "2026-11 shop 1 0 0 0 0 0 . .",
  ])("%j is none", (text) => {
    expect(readLine(text)).toBeUndefined();
  });

  test("the head names the epoch", () => {
    expect(readHead("holdfast-usage 1 AAAAAAAAAAAAAAAAAAAAAA")).toBe("AAAAAAAAAAAAAAAAAAAAAA");
    expect(readHead("holdfast-usage 2 AAAAAAAAAAAAAAAAAAAAAA")).toBeUndefined();
  });
});

test("counts grow, and old months go", () => {
  const all = new CountsByMonth();
  all.add(entry("shop", { requests: 1, bytesUp: 5 }));
  all.add(entry("shop", { requests: 2, bytesDown: 7 }));
  all.add(entry("shop", { requests: 9 }, "2026-10"));
  expect([...all]).toEqual([
    entry("shop", { requests: 3, bytesUp: 5, bytesDown: 7 }),
    entry("shop", { requests: 9 }, "2026-10"),
  ]);
  all.dropBefore("2026-11");
  expect([...all].map(({ month }) => month)).toEqual(["2026-11"]);
});

describe("the journal", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "holdfast-usage-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const file = () => join(dir, "usage.log");
  const totals = (journal: UsageJournal) => [...journal.totals];

  test("holds what was added, whoever reads it next", () => {
    const first = new UsageJournal(dir);
    first.add([entry("shop", { requests: 1 }), entry("bank", { requests: 5 })]);
    first.add([entry("shop", { requests: 1, bytesUp: 10 })]);
    // Nobody closed the first one: so it is after a kill.
    const second = new UsageJournal(dir);
    expect(second.epoch).toBe(first.epoch);
    expect(totals(second)).toEqual([
      entry("shop", { requests: 2, bytesUp: 10 }),
      entry("bank", { requests: 5 }),
    ]);
    first.close();
    second.close();
    expect(statSync(file()).mode & 0o777).toBe(0o600);
  });

  test.each([
    { what: "a line that was cut short", tail: "\n2026-11 shop 100 0 0 0 1" },
    { what: "what the host's fall left", tail: "\n\0\0\0\0\0\0\0\0" },
  ])("drops $what, and goes on behind it", ({ tail }) => {
    const first = new UsageJournal(dir);
    first.add([entry("shop", { requests: 1 })]);
    first.close();
    appendFileSync(file(), tail);
    const second = new UsageJournal(dir);
    expect(totals(second)).toEqual([entry("shop", { requests: 1 })]);
    second.add([entry("shop", { requests: 1 })]);
    second.close();
    const third = new UsageJournal(dir);
    expect(totals(third)).toEqual([entry("shop", { requests: 2 })]);
    third.close();
  });

  test("is written anew when it is long, under the same epoch, with what is added meanwhile", async () => {
    const journal = new UsageJournal(dir, 2_000);
    for (let i = 0; i < 100; i++) journal.add([entry("shop", { requests: 1 })]);
    const before = statSync(file()).size;
    const renewing = journal.sync();
    journal.add([entry("shop", { requests: 1 }), entry("late", { requests: 1 })]);
    await renewing;
    journal.add([entry("shop", { requests: 1 })]);
    expect(statSync(file()).size).toBeLessThan(before / 10);
    expect(readdirSync(dir)).toEqual(["usage.log"]);
    journal.close();
    const again = new UsageJournal(dir);
    expect(again.epoch).toBe(journal.epoch);
    expect(totals(again)).toEqual([entry("shop", { requests: 102 }), entry("late", { requests: 1 })]);
    again.close();
  });

  test("a rewriting that a kill ended leaves the old file whole", () => {
    const first = new UsageJournal(dir);
    first.add([entry("shop", { requests: 7 })]);
    writeFileSync(`${file()}.next`, `holdfast-usage 1 ${first.epoch}\n2026-11 sh`);
    const second = new UsageJournal(dir);
    expect(totals(second)).toEqual([entry("shop", { requests: 7 })]);
    first.close();
    second.close();
  });

  test("another kind of file is set aside, and a new epoch begins at zero", () => {
    const first = new UsageJournal(dir);
    first.close();
    writeFileSync(file(), "something else\n");
    const second = new UsageJournal(dir);
    expect(second.epoch).not.toBe(first.epoch);
    expect(totals(second)).toEqual([]);
    second.close();
    expect(readFileSync(`${file()}.unreadable`, "utf8")).toBe("something else\n");
  });

  test("nothing is added that can't be written", () => {
    const journal = new UsageJournal(dir);
    journal.close();
    expect(() => journal.add([entry("shop", { requests: 1 })])).toThrow(/fd/);
    expect(totals(journal)).toEqual([]);
  });
});
