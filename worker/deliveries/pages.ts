import type { DeliveryCounts, DeliveryRow } from "../../protocol/deliveries.ts";

/** What a list goes on behind. */
export interface Cursor {
  /** Milliseconds since 1970. */
  readonly accepted: number;
  readonly id: string;
}

/**
 * Deliveries of one owner's stores as one list, the latest first; of those that were accepted in the same millisecond the first
 * store's first, each store's in the order in which it has them.
 *
 * @param pages each store's, in the order of the stores
 */
export function mergePages(pages: readonly (readonly DeliveryRow[])[], limit: number): DeliveryRow[] {
  return pages
    .flat()
    .toSorted((one, other) => other.accepted - one.accepted)
    .slice(0, limit);
}

/**
 * Where one store goes on behind a merged page.
 * @param last the page's last delivery, and in which store it is
 */
export function cursorOf(store: number, last: Cursor & { readonly store: number }): Cursor {
  if (store === last.store) return last;
  // An id that nothing comes behind: what the stores before it have of this millisecond was told, and nothing that others have.
  return { accepted: store < last.store ? last.accepted : last.accepted + 1, id: "" };
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
