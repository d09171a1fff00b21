import type { DeliveryAttempt, DeliveryCounts } from "../../../protocol/deliveries.ts";
import { SETTLE_MS, SKEW_MS, UNDER_WAY_MAX_MS } from "./limits.ts";

/** Times are milliseconds since 1970. */

/** What a sender knows of one event. */
export interface Sent {
  readonly id: string;
  readonly route: string;
  /** Counts the events of a lane from 1; a lane's next event is sent when this one was acknowledged. */
  readonly lane: string | null;
  readonly seq: number;
  readonly digest: string;
  /** When a 2xx came; null where the sender gave up. */
  readonly acknowledged: number | null;
  /** The delivery's id, as it was acknowledged. */
  readonly delivery: string | null;
}

/** One request at the receiver. */
export interface Arrival {
  readonly id: string;
  readonly route: string;
  readonly digest: string;
  readonly at: number;
  /** When its answer was handed over or its connection ended; null while it waits. */
  readonly ended: number | null;
  /** What it is answered with, decided when it is whole; null of a body that was cut, which no receiver takes. */
  readonly status: number | null;
  readonly isSigned: boolean;
}

/** The edge was ended, and listened again. */
export interface Kill {
  readonly at: number;
  readonly backAt: number;
}

/** All that a run has noted. */
export interface Records {
  readonly sent: readonly Sent[];
  /** In the order in which they came. */
  readonly arrivals: readonly Arrival[];
  readonly kills: readonly Kill[];
  /** The attempts of all events that came more than once or were under way at a kill, by the events' ids. */
  readonly attempts: ReadonlyMap<string, readonly DeliveryAttempt[]>;
  /** Ids of the events that are pending or dead in the end. */
  readonly held: ReadonlySet<string>;
}

/** What came of one kill. */
export interface KillRow {
  /** Attempts that the receiver had, and was not known to have answered. */
  readonly underWay: number;
  /** Attempts that the edge found interrupted. */
  readonly interrupted: number;
  /** Events that came once more, though the receiver had taken them. */
  readonly duplicates: number;
}

/** Events that broke a promise, each with why. */
export interface Verdict {
  readonly accepted: number;
  readonly lost: readonly string[];
  readonly kills: readonly KillRow[];
  /** Came again with no kill to explain it. */
  readonly doubled: readonly string[];
  readonly reordered: readonly string[];
  readonly altered: readonly string[];
  readonly unsigned: readonly string[];
  /** That no sender made. */
  readonly unknown: readonly string[];
  readonly unacknowledged: readonly string[];
}

/** Judges what senders, receiver and edge have noted. */
export function judge(records: Records): Verdict {
  const { sent, arrivals, held } = records;
  const events = new Map(sent.map((event) => [event.id, event]));
  const known = arrivals.filter(({ id }) => events.has(id));
  const taken = new Set(known.filter(({ status }) => isGood(status)).map(({ id }) => id));
  const accepted = sent.filter(({ acknowledged }) => acknowledged !== null);
  const repeats = repeatsOf(records);
  return {
    accepted: accepted.length,
    lost: accepted.filter(({ id }) => !taken.has(id) && !held.has(id)).map(({ id }) => id),
    kills: records.kills.map((_, index) => ({
      underWay: underWayAt(arrivals, records.kills[index]!).length,
      interrupted: [...records.attempts.values()]
        .flat()
        .filter((attempt) => killOf(attempt, records.kills) === index).length,
      duplicates: repeats.filter(({ kill }) => kill === index).length,
    })),
    doubled: repeats.filter(({ kill }) => kill === undefined).map(({ why }) => why),
    reordered: inversions(known, events, held),
    altered: known
      .filter(({ id, digest, status }) => status !== null && digest !== events.get(id)!.digest)
      .map(({ id }) => id),
    unsigned: known.filter(({ isSigned, status }) => status !== null && !isSigned).map(({ id }) => id),
    unknown: arrivals.filter(({ id }) => !events.has(id)).map(({ id }) => id),
    unacknowledged: sent.filter(({ acknowledged }) => acknowledged === null).map(({ id }) => id),
  };
}

/** What the receiver had when the edge ended. What it has answered just before may not be written down yet. */
export function underWayAt(arrivals: readonly Arrival[], { at, backAt }: Kill): Arrival[] {
  return arrivals.filter(
    (arrival) =>
      arrival.at < backAt &&
      arrival.at > at - UNDER_WAY_MAX_MS &&
      (arrival.ended === null || arrival.ended > at - SETTLE_MS),
  );
}

/** Ids of the events whose attempts the judge wants to see. */
export function questionable(arrivals: readonly Arrival[], kills: readonly Kill[]): Set<string> {
  const ids = new Set(kills.flatMap((kill) => underWayAt(arrivals, kill).map(({ id }) => id)));
  for (const [id, list] of Map.groupBy(arrivals, (arrival) => arrival.id)) if (list.length > 1) ids.add(id);
  return ids;
}

function isGood(status: number | null): boolean {
  return status !== null && status >= 200 && status <= 299;
}

/** At which kill an attempt was interrupted. */
function killOf({ result, started }: DeliveryAttempt, kills: readonly Kill[]): number | undefined {
  if (result !== "interrupted") return undefined;
  const index = kills.findIndex(({ backAt }) => backAt > started);
  return index !== -1 && kills[index]!.at + SKEW_MS >= started ? index : undefined;
}

/** Arrivals of what the receiver had taken before, each with the kill that interrupted the attempt before it. */
function repeatsOf({ arrivals, attempts, kills }: Records): { kill: number | undefined; why: string }[] {
  return [...Map.groupBy(arrivals, ({ id }) => id)].flatMap(([id, list]) =>
    list.slice(1).flatMap((arrival, index) => {
      const before = list[index]!;
      // What it refused is made again.
      if (!isGood(before.status)) return [];
      // The attempt that brought it.
      const attempt = attempts.get(id)?.findLast(({ started }) => started <= before.at + SKEW_MS);
      const interruptedAt = attempt && killOf(attempt, kills);
      const kill =
        interruptedAt !== undefined && kills[interruptedAt]!.at <= arrival.at ? interruptedAt : undefined;
      return [{ kill, why: `${id} at ${time(arrival.at)}, taken at ${time(before.at)}: ${tell(attempt)}` }];
    }),
  );
}

/** Arrivals in lanes that came behind a later one, or before an earlier one was taken. */
function inversions(
  arrivals: readonly Arrival[],
  events: ReadonlyMap<string, Sent>,
  held: ReadonlySet<string>,
): string[] {
  const places = new Map(
    [...events.values()].map((event) => [`${event.route} ${event.lane} ${event.seq}`, event.id]),
  );
  const highest = new Map<string, number>();
  const taken = new Set<string>();
  return arrivals.flatMap(({ id, at, status }) => {
    const { route, lane, seq } = events.get(id)!;
    if (lane === null) return [];
    const key = `${route} ${lane}`;
    const last = highest.get(key) ?? 0;
    highest.set(key, Math.max(last, seq));
    const before = places.get(`${key} ${seq - 1}`);
    const isEarly = before !== undefined && !taken.has(before) && !held.has(before);
    if (isGood(status)) taken.add(id);
    return seq < last || isEarly
      ? [`${lane} at ${time(at)}: ${seq} behind ${last}${isEarly ? `, ${seq - 1} was not taken` : ""}`]
      : [];
  });
}

/** What doesn't add up in a route's counts. `events` counts those of its events that were sent, and that were acknowledged. */
export function miscounted(
  { accepted, delivered, pending, dead, purged }: DeliveryCounts,
  events?: { readonly sent: number; readonly acknowledged: number },
): string[] {
  const sum = delivered + pending + dead + purged;
  return [
    ...(accepted === sum ? [] : [`accepted ${accepted}, but delivered + pending + dead + purged ${sum}`]),
    ...(events === undefined || (accepted >= events.acknowledged && accepted <= events.sent)
      ? []
      : [`accepted ${accepted} of ${events.sent} events, ${events.acknowledged} of them acknowledged`]),
  ];
}

function time(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}

function tell(attempt: DeliveryAttempt | undefined): string {
  if (attempt === undefined) return "no attempt is written down";
  const { n, started, result, status, code } = attempt;
  return `attempt ${n}, begun ${time(started)}, ${result ?? "under way"} ${status ?? code ?? ""}`.trim();
}
