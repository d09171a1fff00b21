import { describe, expect, test } from "vitest";
import { readBatch, readEntry } from "../../protocol/consumed-entries.ts";
import { CONSUMED_BATCH_MAX_BYTES, CONSUMED_BATCH_MAX_ENTRIES } from "../../protocol/limits.ts";
import { outcome } from "./outcome.ts";

const ID = "shop AAECAwQFBgcICQoLDA0ODw";
const LINE = `${ID} 0 AAECAwQFBgc`;

const batchOf = (count: number, line: string) => `${line}\n`.repeat(count);

describe("an entry", () => {
  test.each(["0 AAECAwQFBgc", "10 AAECAwQFBgc", "0 -", `1 ${"A".repeat(22)}`])("with the mark %s", (mark) => {
    expect(readEntry(`${ID} ${mark}`)).toEqual({ id: ID, mark });
  });

  test.each([
    "",
    ID,
    `${ID} `,
    `${ID} 0`,
    `${ID} 0 `,
    `${ID} 0 short`,
    `${ID} 0 ${"A".repeat(23)}`,
    `${ID} -1 AAECAwQFBgc`,
    `${ID} 01 AAECAwQFBgc`,
    `${ID} 1.5 AAECAwQFBgc`,
    `${ID} 99999999999999999 AAECAwQFBgc`,
    `${ID}  0 AAECAwQFBgc`,
    `${LINE} `,
    ` ${LINE}`,
    `${LINE}\n`,
    LINE.replace("shop", "Shop"),
    LINE.replace("shop", "s".repeat(64)),
    LINE.replace("ODw", "ODx"),
  ])("is not %j", (line) => expect(readEntry(line)).toBeUndefined());
});

describe("a batch", () => {
  test.each([0, 1, 3, CONSUMED_BATCH_MAX_ENTRIES])("of %i entries is read as it was written", (count) => {
    const entries = readBatch(batchOf(count, LINE));
    expect(entries).toEqual(Array.from({ length: count }, () => readEntry(LINE)));
  });

  test.each([
    ["no line end", LINE],
    ["an empty line", `${LINE}\n\n`],
    ["a line that is none", `${LINE}\nx\n`],
    ["another line end", `${LINE}\r\n`],
    ["too many lines", `${LINE}\n`.repeat(CONSUMED_BATCH_MAX_ENTRIES + 1)],
  ])("with %s is refused", (_what, body) => {
    expect(outcome(() => readBatch(body))).toEqual({ error: "request_invalid" });
  });

  test("of the longest entries is no longer than is taken", () => {
    const longest = `${"s".repeat(63)} AAECAwQFBgcICQoLDA0ODw ${Number.MAX_SAFE_INTEGER} ${"A".repeat(22)}`;
    expect(readEntry(longest)).toBeDefined();
    const batch = batchOf(CONSUMED_BATCH_MAX_ENTRIES, longest);
    expect(batch.length).toBeLessThanOrEqual(CONSUMED_BATCH_MAX_BYTES);
  });
});
