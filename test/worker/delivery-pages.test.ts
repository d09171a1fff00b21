import { expect, test } from "vitest";
import type { DeliveryRow } from "../../protocol/deliveries.ts";
import { addCounts, cursorOf, mergePages } from "../../worker/deliveries/pages.ts";

/** One list, and one sum, of an owner's stores. */

const row = (id: string, accepted: number) => ({ id, accepted }) as DeliveryRow;

/** Stores as the engine has them: the latest first, of one millisecond in an order of its own. */
const STORES = [
  [row("a1", 9), row("a2", 5), row("a9", 5), row("a3", 1)],
  [],
  [row("c7", 9), row("c1", 9), row("c2", 5), row("c3", 5)],
  [row("d1", 6), row("d2", 5)],
];

/** What a store answers: behind the id where it has it, else by the time. */
function list(store: number, before: { accepted: number; id: string } | null, limit: number): DeliveryRow[] {
  const rows = STORES[store]!;
  if (before === null) return rows.slice(0, limit);
  const at = rows.findIndex(({ id }) => id === before.id);
  return (at === -1 ? rows.filter(({ accepted }) => accepted < before.accepted) : rows.slice(at + 1)).slice(
    0,
    limit,
  );
}

test.each([1, 2, 3, 4, 20])("pages of %i tell each delivery once, the latest first", (limit) => {
  const told: DeliveryRow[] = [];
  for (let pages = 0; pages < 20; pages++) {
    const last = told.at(-1);
    const before =
      last === undefined
        ? null
        : { ...last, store: STORES.findIndex((rows) => rows.some(({ id }) => id === last.id)) };
    const page = mergePages(
      STORES.map((_, store) => list(store, before === null ? null : cursorOf(store, before), limit)),
      limit,
    );
    if (page.length === 0) break;
    told.push(...page);
  }
  expect(told.map(({ id }) => id)).toEqual(["a1", "c7", "c1", "d1", "a2", "a9", "c2", "c3", "d2", "a3"]);
});

test("counts of stores add up, of none to nothing", () => {
  expect(addCounts([])).toEqual({ accepted: 0, delivered: 0, pending: 0, dead: 0, purged: 0 });
  const one = { accepted: 10, delivered: 1, pending: 2, dead: 3, purged: 4 };
  expect(addCounts([one, one])).toEqual({ accepted: 20, delivered: 2, pending: 4, dead: 6, purged: 8 });
});
