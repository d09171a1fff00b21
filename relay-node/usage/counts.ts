/** What a node counts of one client's month. Streams' time in milliseconds, so that nothing is lost by rounding each part. */
export interface Counts {
  requests: number;
  refusals: number;
  streams: number;
  streamMs: number;
  bytesUp: number;
  bytesDown: number;
}

/** In the order in which a line has them. */
export const COUNTS = ["requests", "refusals", "streams", "streamMs", "bytesUp", "bytesDown"] as const;

/** Counts of one client and month. */
export interface Entry {
  readonly month: string;
  readonly client: string;
  readonly counts: Counts;
}

/** Counts that only grow, by month and client. */
export class CountsByMonth {
  #months = new Map<string, Map<string, Counts>>();

  /** The client's counts in a month, to be added to. */
  of(month: string, client: string): Counts {
    let clients = this.#months.get(month);
    if (clients === undefined) this.#months.set(month, (clients = new Map<string, Counts>()));
    let counts = clients.get(client);
    if (counts === undefined) {
      counts = { requests: 0, refusals: 0, streams: 0, streamMs: 0, bytesUp: 0, bytesDown: 0 };
      clients.set(client, counts);
    }
    return counts;
  }

  add({ month, client, counts }: Entry): void {
    const sum = this.of(month, client);
    // Named one by one: each request adds, and V8 looks a name up slowly that differs from one time to the next.
    sum.requests += counts.requests;
    sum.refusals += counts.refusals;
    sum.streams += counts.streams;
    sum.streamMs += counts.streamMs;
    sum.bytesUp += counts.bytesUp;
    sum.bytesDown += counts.bytesDown;
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const [month, clients] of this.#months) {
      for (const [client, counts] of clients) yield { month, client, counts };
    }
  }

  /** Drops all months before this one. */
  dropBefore(month: string): void {
    for (const known of this.#months.keys()) if (known < month) this.#months.delete(known);
  }

  clear(): void {
    // One that is emptied makes its next table where only a collection of the whole heap takes it away.
    this.#months = new Map();
  }
}

/** All counts together: two totals of one client and month are the same where these are. */
export function sumOf(counts: Counts): number {
  return COUNTS.reduce((sum, name) => sum + counts[name], 0);
}
