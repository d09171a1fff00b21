import type { DeliveryCounts, DeliveryRow } from "../../protocol/deliveries.ts";

/** What a list goes on behind. */
export interface Cursor {
  /** Milliseconds since 1970. */
  readonly accepted: number;
  readonly id: string;
}

/** Deliveries of an owner's stores as one list in the order that each of them has: the latest first, by acceptance and id. */
export function mergePages(pages: readonly (readonly DeliveryRow[])[], limit: number): DeliveryRow[] {
  return pages
    .flat()
    .toSorted((one, other) => other.accepted - one.accepted || (one.id < other.id ? 1 : -1))
    .slice(0, limit);
}

/** The counts of an owner, of its stores'. */
export function addCounts(counts: readonly DeliveryCounts[]): DeliveryCounts {
  const sum = (of: (one: DeliveryCounts) => number) => counts.reduce((all, one) => all + of(one), 0);
  return {
    accepted: sum(({ accepted }) => accepted),
    delivered: sum(({ delivered }) => delivered),
    pending: sum(({ pending }) => pending),
    dead: sum(({ dead }) => dead),
    purged: sum(({ purged }) => purged),
  };
}
