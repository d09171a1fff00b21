import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ErrorCode, RelayError } from "../../../protocol/errors.ts";
import type { UsageReport } from "../../../protocol/usage.ts";
import { countedAs } from "../../../relay-node/usage/counted-as.ts";
import { UsageJournal } from "../../../relay-node/usage/journal.ts";
import { UsageReporter } from "../../../relay-node/usage/reporter.ts";
import { Usage } from "../../../relay-node/usage/usage.ts";

const log = pino({ level: "silent" });
let dir: string;
let now: number;
let usage: Usage;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-usage-"));
  now = Date.UTC(2026, 10, 30, 23, 59, 59, 900);
  usage = new Usage(dir, log, () => now);
});
afterEach(() => {
  usage.close();
  rmSync(dir, { recursive: true, force: true });
});

/** What a process finds that starts after this one was killed now. */
function onFile() {
  const journal = new UsageJournal(dir);
  journal.close();
  return [...journal.totals].map(({ month, client, counts }) => Object.assign(counts, { month, client }));
}

test.each<readonly [code: ErrorCode | undefined, counted: ReturnType<typeof countedAs>]>([
  [undefined, "request"],
  ["connect_refused", "request"],
  ["tls_certificate", "request"],
  ["target_timeout", "request"],
  ["dns_failed", "request"],
  ["answer_cut", "request"],
  ["rate_limited", "refusal"],
  ["concurrency_limited", "refusal"],
  ["target_not_allowed", "refusal"],
  ["address_refused", "refusal"],
  ["token_replayed", "refusal"],
  ["token_framing", "refusal"],
  ["node_draining", undefined],
  ["node_full", undefined],
  ["node_out_of_service", undefined],
])("%s counts as %s", (code, counted) => {
  expect(countedAs(code === undefined ? undefined : new RelayError(code, ""))).toBe(counted);
});

test.each<ErrorCode>(["node_draining", "revoked", "body_digest", "quota_exceeded"])(
  "%s in the midst of a request makes it none the less a request",
  (code) => {
    expect(countedAs(new RelayError(code, "", { reached: "unknown" }))).toBe("request");
  },
);

test("requests and streams are on file at once, refusals with the turn, what ended with what comes next or within a second", async () => {
  const call = { claims: { sub: "shop" }, bytesUp: 0, bytesDown: 0 };
  const next = { ...call };
  usage.request("shop");
  usage.began(call, false);
  usage.stream("shop");
  expect(onFile()).toMatchObject([{ client: "shop", requests: 2, streams: 1, bytesUp: 0 }]);
  call.bytesUp = 5;
  const { size } = statSync(join(dir, "usage.log"));
  usage.ended(call);
  await new Promise((done) => setImmediate(done));
  expect(statSync(join(dir, "usage.log")).size).toBe(size);
  usage.refusal("shop");
  await new Promise((done) => setImmediate(done));
  expect(onFile()).toMatchObject([{ requests: 2, refusals: 1, bytesUp: 5 }]);
  usage.began(next, false);
  next.bytesUp = 7;
  usage.ended(next);
  await pause(1_100);
  expect(onFile()).toMatchObject([{ bytesUp: 12 }]);
});

test("requests of one turn are written together, and on file before anybody is told", async () => {
  const told: string[] = [];
  for (const client of ["shop", "bank", "shop"]) {
    usage.requestInTurn(client, () => {
      const shop = onFile().find((entry) => entry.client === "shop");
      told.push(`${client} ${shop?.requests}`);
    });
  }
  expect([onFile(), told]).toEqual([[], []]);
  await new Promise((done) => setImmediate(done));
  expect(told).toEqual(["shop 2", "bank 2", "shop 2"]);
});

test("so are streams, each of which is a request, too", async () => {
  const told: string[] = [];
  for (const client of ["shop", "shop"]) {
    usage.streamInTurn(client, () => {
      const [shop] = onFile();
      told.push(`${client} ${shop?.requests} ${shop?.streams}`);
    });
  }
  expect([onFile(), told]).toEqual([[], []]);
  await new Promise((done) => setImmediate(done));
  expect(told).toEqual(["shop 2 2", "shop 2 2"]);
});

test("a request whose journal can't be written waits for nothing", async () => {
  usage.journal.close();
  let isTold = false;
  usage.requestInTurn("shop", () => {
    isTold = true;
  });
  await new Promise((done) => setImmediate(done));
  expect(isTold).toBe(true);
});

test("what runs is booked each second, of a stream its time as well", async () => {
  const stream = { claims: { sub: "shop" }, bytesUp: 100, bytesDown: 0 };
  const upload = { claims: { sub: "bank" }, bytesUp: 7, bytesDown: 0 };
  usage.began(stream, true);
  usage.began(upload, false);
  await pause(1_100);
  const [shop, bank] = onFile();
  expect(shop).toMatchObject({ client: "shop", bytesUp: 100 });
  expect(shop!.streamMs).toBeGreaterThanOrEqual(900);
  expect(bank).toMatchObject({ client: "bank", bytesUp: 7, streamMs: 0 });
  stream.bytesUp = 150;
  usage.ended(stream);
  usage.ended(stream);
  usage.close();
  expect(onFile()[0]).toMatchObject({ bytesUp: 150 });
});

test("a month begins at zero, in UTC", () => {
  const call = { claims: { sub: "shop" }, bytesUp: 10, bytesDown: 0 };
  usage.began(call, false);
  usage.request("shop");
  usage.book();
  now += 100;
  call.bytesUp = 30;
  usage.request("shop");
  usage.book();
  expect(onFile()).toMatchObject([
    { month: "2026-11", requests: 1, bytesUp: 10 },
    { month: "2026-12", requests: 1, bytesUp: 20 },
  ]);
});

test("by a clock that was ahead for a while nothing more is counted once it is right again", () => {
  const right = now;
  now = Date.UTC(2027, 10, 1);
  usage.request("shop");
  now = right;
  usage.request("shop");
  expect(onFile()).toMatchObject([{ month: "2027-11" }, { month: "2026-11", requests: 1 }]);
});

test("what can't be written is counted all the same, once it can", () => {
  const { journal } = usage;
  const add = journal.add.bind(journal);
  // What a full disk does.
  journal.add = () => {
    throw Object.assign(new Error("no space"), { code: "ENOSPC" });
  };
  usage.request("shop");
  expect([...journal.totals]).toEqual([]);
  journal.add = add;
  usage.request("shop");
  expect(onFile()).toMatchObject([{ requests: 2 }]);
});

describe("a report", () => {
  let sent: UsageReport[];
  let answer: () => Promise<{ status: number; text: string }>;
  let reporter: UsageReporter;
  let over: string[];
  /** How long the reporter stands, in milliseconds. */
  let age: number;
  beforeEach(() => {
    age = 0;
    sent = [];
    over = [];
    answer = () => Promise.resolve({ status: 200, text: '{"over":[]}' });
    reporter = new UsageReporter({
      usage,
      client: {
        call: async ({ body }) => {
          sent.push(JSON.parse(body!) as UsageReport);
          return { ...(await answer()), field: () => null };
        },
      },
      onOver: (clients) => over.push(...clients),
      log,
      now: () => now,
      elapsed: () => age,
    });
  });
  afterEach(() => reporter.close());

  test("has what grew since the last one that was taken", async () => {
    usage.request("shop");
    usage.request("bank");
    await reporter.report();
    usage.request("shop");
    answer = () => Promise.reject(new Error("lost"));
    await reporter.report();
    answer = () => Promise.resolve({ status: 503, text: "" });
    await reporter.report();
    answer = () => Promise.resolve({ status: 200, text: '{"over":["shop"]}' });
    await reporter.report();
    await reporter.report();
    const told = sent.map(({ totals }) => totals.map(({ client, requests }) => `${client} ${requests}`));
    expect(told).toEqual([["shop 1", "bank 1"], ["shop 2"], ["shop 2"], ["shop 2"]]);
    expect(new Set(sent.map(({ epoch }) => epoch))).toEqual(new Set([usage.journal.epoch]));
    expect(over).toEqual(["shop"]);
  });

  test("goes in pages, each no longer than the edge takes", async () => {
    for (let i = 0; i < 1_201; i++) usage.refusal(`client-${i}`.padEnd(63, "x"));
    await reporter.report();
    expect(sent.map(({ totals }) => totals.length)).toEqual([500, 500, 201]);
    expect(Math.max(...sent.map((report) => JSON.stringify(report).length))).toBeLessThan(262_144);
  });

  test("holds nothing that is not on the disk, and is of the moment that was brought there", async () => {
    usage.request("shop");
    const { journal } = usage;
    journal.sync = () => Promise.reject(Object.assign(new Error("broken"), { code: "EIO" }));
    await reporter.report();
    expect(sent).toEqual([]);
    journal.sync = () => {
      usage.request("shop");
      return Promise.resolve();
    };
    await reporter.report();
    expect(sent[0]!.totals).toMatchObject([{ requests: 1 }]);
    await reporter.report();
    expect(sent[1]!.totals).toMatchObject([{ requests: 2 }]);
  });

  test("forgets nothing by a clock that is ahead for a while", async () => {
    usage.request("shop");
    await reporter.report();
    age = 1_000;
    now += 200 * 86_400_000;
    await reporter.report();
    now -= 200 * 86_400_000;
    usage.request("shop");
    await reporter.report();
    expect(sent.map(({ totals }) => totals.map(({ requests }) => requests))).toEqual([[1], [2]]);
  });

  test("forgets months that the edge takes no longer", async () => {
    usage.request("shop");
    age = Date.UTC(2027, 1, 1) - now;
    now += age;
    await reporter.report();
    expect(sent).toEqual([]);
    expect([...usage.journal.totals]).toEqual([]);
  });
});
