import { keepNewest } from "./keep-newest.ts";
import {
  OBSERVED_CLIENTS_MAX,
  OBSERVED_PENDING_MAX,
  OBSERVED_REPEAT_MS,
  OBSERVED_SENT_MAX,
} from "./limits.ts";

/** What an isolate saw of one entry and path since it last told of them. Times are seconds since 1970. */
export interface Observation {
  readonly entry: string;
  /** As `pathEntryOf` has it; null where it has none, undefined where there is no path at all. */
  readonly path: string | null | undefined;
  readonly wouldDeny: boolean;
  readonly count: number;
  readonly first: number;
  readonly last: number;
}

/** What is told of one client at once. */
export interface Observations {
  readonly client: string;
  readonly seen: readonly Observation[];
  /** How many were not kept. */
  readonly dropped: number;
}

interface Kept {
  pending: Observation | undefined;
  /** Milliseconds since 1970. */
  toldAt: number;
}

interface OfClient {
  readonly entries: Map<string, Kept>;
  dropped: number;
}

/**
 * What an isolate has yet to tell the registry of targets that were used: each entry at most once a minute, and of each client a
 * bounded number. Times are milliseconds since 1970.
 */
export class ObservedTargets {
  readonly #clients = new Map<string, OfClient>();

  /** Notes one use; returns whether there is something to be told now. */
  note(client: string, seen: Pick<Observation, "entry" | "path" | "wouldDeny">, now: number): boolean {
    const of = this.#of(client);
    const key = keyOf(seen);
    const known = of.entries.get(key);
    if (known === undefined && pendingOf(of) >= OBSERVED_PENDING_MAX) {
      of.dropped++;
      return true;
    }
    const kept = known ?? { pending: undefined, toldAt: -Infinity };
    const seconds = Math.floor(now / 1_000);
    const { count = 0, first = seconds } = kept.pending ?? {};
    kept.pending = { ...seen, count: count + 1, first, last: seconds };
    keepNewest(of.entries, key, kept, OBSERVED_SENT_MAX);
    return now - kept.toldAt >= OBSERVED_REPEAT_MS;
  }

  /** What is to be told now; it is taken for told. */
  take(now: number): readonly Observations[] {
    const told: Observations[] = [];
    for (const [client, of] of this.#clients) {
      const seen: Observation[] = [];
      for (const kept of of.entries.values()) {
        if (kept.pending === undefined || now - kept.toldAt < OBSERVED_REPEAT_MS) continue;
        seen.push(kept.pending);
        kept.pending = undefined;
        kept.toldAt = now;
      }
      if (seen.length > 0 || of.dropped > 0) told.push({ client, seen, dropped: of.dropped });
      of.dropped = 0;
    }
    return told;
  }

  /** Takes back what could not be told after all: it is to be told with the next use of anything. */
  giveBack(told: readonly Observations[]): void {
    for (const { client, seen, dropped } of told) {
      const of = this.#of(client);
      of.dropped += dropped;
      for (const one of seen) {
        const key = keyOf(one);
        const { count = 0, last = one.last, wouldDeny = one.wouldDeny } = of.entries.get(key)?.pending ?? {};
        const pending = { ...one, count: one.count + count, last, wouldDeny };
        keepNewest(of.entries, key, { pending, toldAt: -Infinity }, OBSERVED_SENT_MAX);
      }
    }
  }

  #of(client: string): OfClient {
    const of = this.#clients.get(client) ?? { entries: new Map<string, Kept>(), dropped: 0 };
    keepNewest(this.#clients, client, of, OBSERVED_CLIENTS_MAX);
    return of;
  }
}

function keyOf({ entry, path }: Pick<Observation, "entry" | "path">): string {
  return JSON.stringify([entry, path]);
}

function pendingOf({ entries }: OfClient): number {
  let pending = 0;
  for (const kept of entries.values()) if (kept.pending !== undefined) pending++;
  return pending;
}
