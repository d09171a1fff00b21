import { describe, expect, test } from "vitest";
import { MARK_PAGE_BYTES, MARK_SLOTS_MIN } from "../../relay-node/limits.ts";
import { MarkTable } from "../../relay-node/mark-table.ts";

/** What a Map would have, in another place. */

const ID_BYTES = 22;
const idOf = (n: number) => `client-${n % 7} ${String(n).padStart(ID_BYTES, "A")}`;
const markOf = (n: number) => `${n % 3} pass-${n}`;

/** The same numbers in each run, from 0 to below 1. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

test("has what a Map has, whatever is set, set anew, deleted and forgotten", () => {
  const table = new MarkTable();
  const map = new Map<string, string>();
  const random = numbers(7);
  const next = (below: number) => Math.floor(random.next().value * below);
  for (let step = 0; step < 60_000; step++) {
    const id = idOf(next(9_000));
    const what = next(1_000);
    if (what === 0) {
      table.clear();
      map.clear();
    } else if (what < 150) {
      table.delete(id);
      map.delete(id);
    } else if (what < 600) {
      table.set(id, markOf(step));
      map.set(id, markOf(step));
    }
    expect(table.get(id)).toBe(map.get(id));
    expect(table.has(id)).toBe(map.has(id));
  }
  expect(new Map(table)).toEqual(map);
});

test("finds each of many, over pages and tables that grow", () => {
  const table = new MarkTable();
  const count = Math.ceil((2.5 * MARK_PAGE_BYTES) / (ID_BYTES + 20));
  expect(count).toBeGreaterThan(4 * MARK_SLOTS_MIN);
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < count; n++) table.set(idOf(n + round), markOf(n));
    expect(table.size).toBe(count);
    let found = 0;
    for (let n = 0; n < count; n++) if (table.get(idOf(n + round)) === markOf(n)) found++;
    expect(found).toBe(count);
    expect(table.has(idOf(count + round))).toBe(false);
    expect([...table].length).toBe(count);
    table.clear();
    expect([table.size, [...table].length, table.get(idOf(1))]).toEqual([0, 0, undefined]);
  }
});

describe("whoever goes through it", () => {
  const filled = () => {
    const table = new MarkTable();
    for (const id of ["a", "b", "c"]) table.set(id, `1 ${id}`);
    return table;
  };

  test("sees each once, as it was set last, and nothing that was deleted", () => {
    const table = filled();
    table.set("a", "2 a");
    table.delete("b");
    expect([...table]).toEqual([
      ["c", "1 c"],
      ["a", "2 a"],
    ]);
  });

  test("sees what is set meanwhile", () => {
    const table = filled();
    const seen: string[] = [];
    for (const [id] of table) {
      seen.push(id);
      if (id === "c") table.set("d", "1 d");
    }
    expect(seen).toEqual(["a", "b", "c", "d"]);
  });

  test("is at the end where all is forgotten meanwhile, whatever comes then", () => {
    const table = filled();
    const seen: string[] = [];
    for (const [id] of table) {
      seen.push(id);
      table.clear();
      for (let n = 0; n < 100; n++) table.set(idOf(n), markOf(n));
    }
    expect(seen).toEqual(["a"]);
  });
});

test("the longest fit, and what doesn't is refused and changes nothing", () => {
  const table = new MarkTable();
  const longest = "x".repeat(127);
  table.set(longest, longest);
  expect(table.get(longest)).toBe(longest);
  for (const [id, mark] of [
    [`${longest}x`, "1 a"],
    ["id", `${longest}x`],
    ["\u00e9", "1 a"],
    ["id", "\u0141"],
    ["", "1 a"],
    ["id", ""],
  ] as const) {
    expect(() => table.set(id, mark)).toThrow(RangeError);
    expect(table.get(id)).toBeUndefined();
  }
  expect([...table]).toEqual([[longest, longest]]);
});
