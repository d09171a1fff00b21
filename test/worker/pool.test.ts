import { beforeEach, describe, expect, test } from "vitest";
import type { NodeView } from "../../worker/health.ts";
import { Pool } from "../../worker/pool.ts";

const gone = { reason: "no answer to a probe", gone: true };
const drains = { reason: "node_draining: it goes", gone: false };
const view = (changes: Partial<NodeView> = {}): NodeView => ({
  id: "a",
  up: true,
  epoch: 0,
  reason: undefined,
  gone: false,
  ...changes,
});
const down = (changes: Partial<NodeView> = {}) => view({ up: false, ...gone, ...changes });

let pool: Pool;
beforeEach(() => {
  pool = new Pool();
});

describe("whether a node is to get requests", () => {
  test("yes, where nobody knows anything", () => {
    expect(pool.isUp("a", 0)).toBe(true);
  });

  test("as the shared health has it", () => {
    pool.learn([down(), view({ id: "b" })], 0);
    expect(["a", "b", "c"].map((id) => pool.isUp(id, 10))).toEqual([false, true, true]);
  });

  test("not after one failure, whatever the shared health believed before", () => {
    pool.learn([view()], 0);
    pool.failed("a", drains, 10);
    expect(pool.isUp("a", 10)).toBe(false);
    pool.learn([view()], 1_000);
    expect(pool.isUp("a", 1_000)).toBe(false);
    expect(pool.isUp("b", 1_000)).toBe(true);
  });

  test("again when the shared health has seen it come back", () => {
    pool.learn([view({ epoch: 4 })], 0);
    pool.failed("a", gone, 10);
    pool.learn([down({ epoch: 4 })], 100);
    expect(pool.isUp("a", 100)).toBe(false);
    pool.learn([view({ epoch: 5 })], 2_000);
    expect(pool.isUp("a", 2_000)).toBe(true);
    expect(pool.complaints()).toEqual([]);
  });

  test("not by a return that was before the failure", () => {
    pool.learn([view({ epoch: 4 })], 0);
    pool.failed("a", gone, 10);
    pool.learn([view({ epoch: 4 })], 100);
    expect(pool.isUp("a", 100)).toBe(false);
  });

  test("a failure before anything shared was heard counts from the epoch that is heard first", () => {
    pool.failed("a", gone, 0);
    expect(pool.complaints()).toEqual([{ id: "a", ...gone, epoch: undefined }]);
    pool.learn([down({ epoch: 7 })], 100);
    expect(pool.complaints()).toEqual([{ id: "a", ...gone, epoch: 7 }]);
    expect(pool.isUp("a", 100)).toBe(false);
    pool.learn([view({ epoch: 8 })], 2_000);
    expect(pool.isUp("a", 2_000)).toBe(true);
  });

  test("a second failure tells no other epoch than the first", () => {
    pool.learn([view({ epoch: 1 })], 0);
    pool.failed("a", drains, 10);
    pool.learn([down({ epoch: 1 })], 20);
    pool.failed("a", gone, 30);
    expect(pool.complaints()).toEqual([{ id: "a", ...gone, epoch: 1 }]);
  });

  test("what is no longer configured is forgotten", () => {
    pool.failed("a", gone, 0);
    pool.learn([view({ id: "b" })], 100);
    expect(pool.complaints()).toEqual([]);
  });
});

describe("where the shared health can't be asked, a node that failed is left alone for", () => {
  test.each([
    { failures: 1, ms: 2_000 },
    { failures: 2, ms: 4_000 },
    { failures: 3, ms: 8_000 },
    { failures: 5, ms: 30_000 },
    { failures: 500, ms: 30_000 },
  ])("$ms ms after $failures in a row", ({ failures, ms }) => {
    for (let i = 0; i < failures; i++) pool.failed("a", gone, 100);
    expect([pool.isUp("a", 99 + ms), pool.isUp("a", 100 + ms)]).toEqual([false, true]);
  });

  test("as long as it may be that the shared health answers again, for no shorter", () => {
    pool.learn([view()], 0);
    pool.failed("a", gone, 100);
    expect([pool.isUp("a", 2_900), pool.isUp("a", 3_000)]).toEqual([false, true]);
  });
});

describe("when a node was found gone", () => {
  test("not at all, where it is up or finishes what it has begun", () => {
    expect(pool.goneAt("a")).toBeUndefined();
    pool.failed("a", drains, 10);
    pool.learn([down({ ...drains }), view({ id: "b" })], 20);
    expect([pool.goneAt("a"), pool.goneAt("b")]).toEqual([undefined, undefined]);
  });

  test("since this isolate's own failure", () => {
    pool.failed("a", gone, 10);
    expect(pool.goneAt("a")).toBe(10);
  });

  test("since the shared health said so first", () => {
    pool.learn([down()], 20);
    pool.learn([down()], 1_020);
    expect(pool.goneAt("a")).toBe(20);
    pool.learn([view({ epoch: 1 })], 2_020);
    expect(pool.goneAt("a")).toBeUndefined();
  });

  test("not since before it last said something", () => {
    pool.failed("a", gone, 10);
    pool.learn([down({ id: "b" })], 10);
    for (const id of ["a", "b"]) {
      pool.heard(id, 11);
      expect(pool.goneAt(id)).toBeUndefined();
    }
    pool.failed("a", gone, 12);
    expect(pool.goneAt("a")).toBe(12);
  });

  test("two questions left unanswered, not one, and not two with an answer between", () => {
    pool.missed("a", gone, 10);
    expect(pool.isUp("a", 10)).toBe(true);
    pool.heard("a", 20);
    pool.missed("a", gone, 30);
    expect(pool.isUp("a", 30)).toBe(true);
    pool.missed("a", gone, 40);
    expect([pool.isUp("a", 40), pool.goneAt("a")]).toEqual([false, 40]);
  });
});

describe("who asks", () => {
  test("the shared health: one caller a second", () => {
    expect([0, 0, 999, 1_000, 1_001].map((now) => pool.shouldRefresh(now))).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  test("and at once, but once, where a node has failed for the first time", () => {
    pool.shouldRefresh(0);
    pool.failed("a", gone, 10);
    expect([11, 12].map((now) => pool.shouldRefresh(now))).toEqual([true, false]);
    pool.failed("a", gone, 20);
    expect(pool.shouldRefresh(21)).toBe(false);
    pool.failed("b", gone, 30);
    expect(pool.shouldRefresh(31)).toBe(true);
  });

  test("what has failed is news until somebody asks", () => {
    const news = [pool.hasUntold];
    pool.failed("a", gone, 10);
    news.push(pool.hasUntold);
    pool.shouldRefresh(11);
    pool.failed("a", gone, 12);
    news.push(pool.hasUntold);
    expect(news).toEqual([false, true, false]);
  });

  const DOWN = [down()];
  const UP = [view()];
  test.each([
    {
      what: "waits where nothing was ever heard",
      known: undefined,
      failed: false,
      asked: 10_000,
      waits: true,
    },
    { what: "but not for ever", known: undefined, failed: false, asked: 9_700, waits: false },
    { what: "nor where nobody has asked", known: undefined, failed: false, asked: undefined, waits: false },
    {
      what: "waits where a node was down a while ago",
      known: DOWN,
      failed: false,
      asked: 10_000,
      waits: true,
    },
    { what: "waits where a node failed a while ago", known: UP, failed: true, asked: 10_000, waits: true },
    { what: "not where all was well", known: UP, failed: false, asked: 10_000, waits: false },
  ])("a request $what", ({ known, failed, asked, waits }) => {
    if (known !== undefined) pool.learn(known, 7_000);
    if (failed) pool.failed("a", gone, 7_010);
    if (asked !== undefined) pool.shouldRefresh(asked);
    expect(pool.awaitsNews(10_000)).toBe(waits);
    pool.learn(DOWN, 10_000);
    expect(pool.awaitsNews(10_000)).toBe(false);
  });

  test("a silent node: one caller at a time, until the question's own end", () => {
    expect(pool.shouldAsk("a", 0, 1_000)).toBe(true);
    pool.asking("a", 2_000);
    expect([pool.shouldAsk("a", 0, 1_999), pool.shouldAsk("b", 0, 1_999)]).toEqual([false, true]);
    expect(pool.shouldAsk("a", 0, 2_000)).toBe(true);
  });

  test("nobody, where the node has said something since", () => {
    pool.heard("a", 500);
    expect([pool.shouldAsk("a", 499, 1_000), pool.shouldAsk("a", 500, 1_000)]).toEqual([false, true]);
  });
});
