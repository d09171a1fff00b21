import { expect, test } from "vitest";
import type { DeliveryAttempt } from "../../../protocol/deliveries.ts";
import { type Arrival, judge, miscounted, questionable, type Records, type Sent } from "./ledger.ts";

/** The judge of the kill suite must be able to find fault. */

const event = (id: string, change: Partial<Sent> = {}): Sent => ({
  id,
  route: "free",
  lane: null,
  seq: 1,
  digest: "d",
  acknowledged: 1_000,
  delivery: "dlv",
  ...change,
});

const arrival = (id: string, at: number, change: Partial<Arrival> = {}): Arrival => ({
  id,
  route: "free",
  digest: "d",
  at,
  ended: at + 10,
  status: 200,
  isSigned: true,
  ...change,
});

const attempt = (n: number, started: number, result: DeliveryAttempt["result"]): DeliveryAttempt => ({
  n,
  started,
  ended: started + 20,
  result,
  status: null,
  code: null,
  detail: null,
  node: null,
  egress: null,
});

const KILL = { at: 5_000, backAt: 5_500 };
const NONE = { attempts: new Map(), held: new Set<string>(), kills: [] };
const lane = (seq: number) => event(`l${seq}`, { route: "fifo", lane: "x", seq });

function found(records: Partial<Records>): Record<string, number> {
  const { kills, accepted: _, ...lists } = judge({ sent: [], arrivals: [], ...NONE, ...records });
  const counts = Object.entries(lists).map(([name, list]) => [name, list.length] as const);
  const duplicates = kills.map((row) => row.duplicates).reduce((sum, one) => sum + one, 0);
  const all: Record<string, number> = { ...Object.fromEntries(counts), duplicates };
  return Object.fromEntries(Object.entries(all).filter(([, count]) => count !== 0));
}

const interrupted = new Map([["a", [attempt(1, 4_900, "interrupted"), attempt(2, 5_600, "answered")]]]);

test.each<[string, Partial<Records>, Record<string, number>]>([
  ["taken once", { sent: [event("a")], arrivals: [arrival("a", 1_100)] }, {}],
  ["accepted, never came", { sent: [event("a")] }, { lost: 1 }],
  [
    "accepted, only came where it was not taken",
    { sent: [event("a")], arrivals: [arrival("a", 1_100, { status: 500 })] },
    { lost: 1 },
  ],
  ["accepted, pending in the end", { sent: [event("a")], held: new Set(["a"]) }, {}],
  ["never acknowledged", { sent: [event("a", { acknowledged: null })] }, { unacknowledged: 1 }],
  [
    "failed, and made again",
    { sent: [event("a")], arrivals: [arrival("a", 1_100, { status: 500 }), arrival("a", 2_100)] },
    {},
  ],
  [
    "made again without a kill",
    { sent: [event("a")], arrivals: [arrival("a", 1_100), arrival("a", 2_100)] },
    { doubled: 1 },
  ],
  [
    "said to be interrupted without a kill",
    {
      sent: [event("a")],
      arrivals: [arrival("a", 4_910), arrival("a", 5_610)],
      attempts: interrupted,
    },
    { doubled: 1 },
  ],
  [
    "made again after the kill that interrupted it",
    {
      sent: [event("a")],
      arrivals: [arrival("a", 4_910), arrival("a", 5_610)],
      attempts: interrupted,
      kills: [KILL],
    },
    { duplicates: 1 },
  ],
  [
    "made again after a kill, refused then, and made once more",
    {
      sent: [event("a")],
      arrivals: [arrival("a", 4_910), arrival("a", 5_610, { status: 500 }), arrival("a", 6_700)],
      attempts: interrupted,
      kills: [KILL],
    },
    { duplicates: 1 },
  ],
  [
    "twice after one kill",
    {
      sent: [event("a")],
      arrivals: [arrival("a", 4_910), arrival("a", 5_610), arrival("a", 5_700)],
      attempts: interrupted,
      kills: [KILL],
    },
    { duplicates: 1, doubled: 1 },
  ],
  [
    "written down as answered before the kill, and made again",
    {
      sent: [event("a")],
      arrivals: [arrival("a", 4_910), arrival("a", 5_610)],
      attempts: new Map([["a", [attempt(1, 4_900, "answered")]]]),
      kills: [KILL],
    },
    { doubled: 1 },
  ],
  [
    "a lane in its order, with a repeat",
    {
      sent: [lane(1), lane(2)],
      arrivals: [arrival("l1", 1_000, { status: 500 }), arrival("l1", 1_100), arrival("l2", 1_200)],
    },
    {},
  ],
  [
    "a lane's second before its first",
    { sent: [lane(1), lane(2)], arrivals: [arrival("l2", 1_000), arrival("l1", 1_100)] },
    { reordered: 2 },
  ],
  [
    "a lane's second while its first has failed",
    {
      sent: [lane(1), lane(2)],
      arrivals: [arrival("l1", 1_000, { status: 500 }), arrival("l2", 1_100), arrival("l1", 1_200)],
    },
    { reordered: 2 },
  ],
  [
    "a lane's second, its first dead",
    { sent: [lane(1), lane(2)], arrivals: [arrival("l2", 1_100)], held: new Set(["l1"]) },
    {},
  ],
  ["other bytes", { sent: [event("a")], arrivals: [arrival("a", 1, { digest: "e" })] }, { altered: 1 }],
  [
    "a cut body",
    { sent: [event("a")], arrivals: [arrival("a", 1, { digest: "e", status: null })] },
    { lost: 1 },
  ],
  ["no signature", { sent: [event("a")], arrivals: [arrival("a", 1, { isSigned: false })] }, { unsigned: 1 }],
  ["from nobody", { arrivals: [arrival("b", 1)] }, { unknown: 1 }],
])("%s", (_, records, expected) => {
  expect(found(records)).toEqual(expected);
});

test("under way at a kill is what was not answered, or only just", () => {
  const arrivals = [
    arrival("long answered", 1_000),
    arrival("just answered", 4_950),
    arrival("waiting", 4_000, { ended: null }),
    arrival("on its way", 5_100, { ended: null }),
    arrival("after it", 5_600),
  ];
  const { kills } = judge({ ...NONE, sent: [], arrivals, attempts: interrupted, kills: [KILL] });
  expect(kills).toEqual([{ underWay: 3, interrupted: 1, duplicates: 0 }]);
  expect(questionable([...arrivals, arrival("after it", 5_700)], [KILL])).toEqual(
    new Set(["just answered", "waiting", "on its way", "after it"]),
  );
});

test("counts that don't add up are told", () => {
  const counts = { accepted: 10, delivered: 6, pending: 1, dead: 1, purged: 2 };
  expect(miscounted(counts)).toEqual([]);
  expect(miscounted({ ...counts, delivered: 7 })).toHaveLength(1);
  expect(miscounted(counts, { sent: 11, acknowledged: 10 })).toEqual([]);
  // Stored twice, and acknowledged without being stored.
  expect(miscounted(counts, { sent: 9, acknowledged: 9 })).toHaveLength(1);
  expect(miscounted(counts, { sent: 11, acknowledged: 11 })).toHaveLength(1);
});
