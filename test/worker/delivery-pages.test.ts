import { expect, test } from "vitest";
import type { DeliveryRow } from "../../protocol/deliveries.ts";
import { addCounts, mergePages } from "../../worker/deliveries/pages.ts";

/** One list, and one sum, of an owner's stores. */

const row = (id: string, accepted: number) => ({ id, accepted }) as DeliveryRow;

/** Each store's, the latest first, by acceptance and id. */
const STORES = [
  [row("dlv_A8", 9), row("dlv_A7", 5), row("dlv_A2", 5), row("dlv_A9", 1)],
  [],
  [row("dlv_C7", 9), row("dlv_C1", 9), row("dlv_C3", 5), row("dlv_C2", 5)],
  [row("dlv_D1", 6), row("dlv_D2", 5)],
];

/** What a store answers. */
function list(rows: readonly DeliveryRow[], before: DeliveryRow | undefined, limit: number): DeliveryRow[] {
  const isBehind = ({ accepted, id }: DeliveryRow) =>
    before === undefined || accepted < before.accepted || (accepted === before.accepted && id < before.id);
  return rows.filter((one) => isBehind(one)).slice(0, limit);
}

test.each([1, 2, 3, 4, 20])("pages of %i tell each delivery once, the latest first", (limit) => {
  const told: DeliveryRow[] = [];
  for (;;) {
    const page = mergePages(
      STORES.map((rows) => list(rows, told.at(-1), limit)),
      limit,
    );
    if (page.length === 0) break;
    told.push(...page);
  }
  expect(told.map(({ id }) => id.slice(4)).join(" ")).toBe("C7 C1 A8 D1 D2 C3 C2 A7 A2 A9");
});

test("counts of stores add up, of none to nothing", () => {
  expect(addCounts([])).toEqual({ accepted: 0, delivered: 0, pending: 0, dead: 0, purged: 0 });
  const one = { accepted: 10, delivered: 1, pending: 2, dead: 3, purged: 4 };
  expect(addCounts([one, one])).toEqual({ accepted: 20, delivered: 2, pending: 4, dead: 6, purged: 8 });
});
