import { beforeEach, describe, expect, test } from "vitest";
import type { Quota } from "../../protocol/quota.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { monthsBefore, NO_USAGE, type UsageTotal } from "../../protocol/usage.ts";
import { USAGE_EPOCHS_MAX, USAGE_KEPT_MONTHS } from "../../worker/limits.ts";
import { noteUsage } from "../../worker/registry/note-usage.ts";
import type { Sql } from "../../worker/registry/sql.ts";
import { UsageTable } from "../../worker/registry/usage-table.ts";
import { sqliteStorage } from "../support/sqlite-storage.ts";

/** How the registry keeps usage over months and years. */

let sql: Sql;
let usage: UsageTable;
beforeEach(() => {
  sql = sqliteStorage();
  usage = new UsageTable(sql);
});

const JANUARY = Date.UTC(2026, 0, 15);
const EPOCH = newRequestId();
const total = (changes: Partial<UsageTotal> = {}): UsageTotal => ({
  client: "shop",
  month: "2026-01",
  ...NO_USAGE,
  ...changes,
});

function note(
  changes: Partial<UsageTotal>,
  {
    node = "node-1",
    epoch = EPOCH,
    now = JANUARY,
    quota,
  }: { node?: string; epoch?: string; now?: number; quota?: Quota } = {},
) {
  return noteUsage({ usage, quotaOf: () => quota }, node, { epoch, totals: [total(changes)] }, now);
}

const rows = () => sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM usage").one().n;

test("of each number the largest stays, and what is not larger writes nothing", () => {
  note({ requests: 5, bytesUp: 10 });
  note({ requests: 3, bytesUp: 20 });
  expect(usage.of("shop", "2026-01")).toEqual({ ...NO_USAGE, requests: 5, bytesUp: 20 });
  expect(rows()).toBe(1);
  note({ requests: Number.MAX_SAFE_INTEGER });
  expect(usage.of("shop", "2026-01").requests).toBe(Number.MAX_SAFE_INTEGER);
});

test("a client is told of whatever it used, and not where it used nothing", () => {
  // A stream that was opened a month ago and carries nothing costs its minutes all the same.
  const used: Partial<UsageTotal>[] = [
    { client: "a", requests: 1 },
    { client: "b", refusals: 1 },
    { client: "c", streams: 1 },
    { client: "d", streamSeconds: 1 },
    { client: "e", bytesUp: 1 },
    { client: "f", bytesDown: 1 },
    { client: "g" },
  ];
  for (const one of used) note(one);
  expect(usage.list("2026-01", "", 100).map(({ client }) => client)).toEqual(["a", "b", "c", "d", "e", "f"]);
});

test("closed months become one row for each client, and stay what they were; 25 are kept", () => {
  for (const node of ["node-1", "node-2"]) {
    for (const epoch of [EPOCH, newRequestId()]) note({ requests: 1, bytesUp: 2 }, { node, epoch });
    note({ client: "bank", requests: 1 }, { node });
  }
  expect(rows()).toBe(6);
  const ask = (months: number) => {
    const now = Date.UTC(2026, months, 15);
    note({ client: "other", month: monthsBefore("2026-01", -months), requests: 1 }, { now });
    return [usage.of("shop", "2026-01").requests, usage.of("bank", "2026-01").requests];
  };
  expect(ask(2)).toEqual([4, 2]);
  expect(rows()).toBe(7);
  expect(ask(3)).toEqual([4, 2]);
  expect(usage.of("shop", "2026-01")).toEqual({ ...NO_USAGE, requests: 4, bytesUp: 8 });
  expect(rows()).toBe(4);
  // What comes after that is of a month that was closed.
  note({ requests: 100 }, { now: Date.UTC(2026, 3, 16) });
  expect(usage.of("shop", "2026-01").requests).toBe(4);
  expect(ask(USAGE_KEPT_MONTHS)).toEqual([4, 2]);
  expect(ask(USAGE_KEPT_MONTHS + 1)).toEqual([0, 0]);
});

test("no number that a node tells keeps months from being closed", () => {
  for (const node of ["node-1", "node-2", "node-3"]) {
    for (let i = 0; i < 400; i++) {
      note({ requests: Number.MAX_SAFE_INTEGER }, { node, epoch: newRequestId() });
    }
  }
  usage.tidy("2026-05");
  expect(rows()).toBe(1);
  expect(usage.of("shop", "2026-01").requests).toBe(Number.MAX_SAFE_INTEGER);
});

test("a new instance does not close months anew, and a removed client is none that used something", () => {
  note({ requests: 1 });
  usage.remember("gone", "2026-01");
  expect(usage.list("2026-01", "", 10).map(({ client }) => client)).toEqual(["shop"]);
  expect(usage.knows("gone")).toBe(true);
  expect(usage.knows("never")).toBe(false);
  const again = new UsageTable(sql);
  again.tidy("2026-01");
  expect(again.of("shop", "2026-01").requests).toBe(1);
});

test("a node has so many epochs in some three months, and each of its totals under those is taken", () => {
  for (let i = 0; i < USAGE_EPOCHS_MAX - 1; i++) expect(note({}, { epoch: newRequestId() })).not.toBeNull();
  expect(note({ requests: 1 })).not.toBeNull();
  expect(note({ requests: 1 }, { epoch: newRequestId() })).toBeNull();
  expect(note({ requests: 2 })).not.toBeNull();
  expect(note({ requests: 1 }, { epoch: newRequestId(), node: "node-2" })).not.toBeNull();
  const now = Date.UTC(2026, 3, 15);
  expect(note({ month: "2026-04", requests: 1 }, { epoch: newRequestId(), now })).not.toBeNull();
});

describe("a limit", () => {
  const quota: Quota = { requests: { soft: 5, hard: 10 } };
  test("is passed once, and past months pass none", () => {
    expect(note({ requests: 4 }, { quota })).toEqual({ over: [], crossed: [] });
    expect(note({ month: "2025-12", requests: 100 }, { quota })).toEqual({ over: [], crossed: [] });
    expect(note({ requests: 10 }, { quota })).toEqual({
      over: ["shop"],
      crossed: [
        { client: "shop", limit: "soft", measure: "requests", used: 10 },
        { client: "shop", limit: "hard", measure: "requests", used: 10 },
      ],
    });
    expect(note({ requests: 11 }, { quota })).toEqual({ over: ["shop"], crossed: [] });
  });
});
