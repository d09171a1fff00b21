import { expect, test } from "vitest";
import { OBSERVED_CLIENTS_MAX, OBSERVED_PENDING_MAX, OBSERVED_REPEAT_MS } from "../../worker/limits.ts";
import { ObservedTargets } from "../../worker/observations.ts";

const NOW = 1_767_225_600_000;
const DB = { entry: "tcp://db.test:5432", path: undefined, wouldDeny: true };
const GET = { entry: "GET https://api.bank.com", path: "/v1/*", wouldDeny: false };
const at = (ms: number) => Math.floor((NOW + ms) / 1_000);

test("an entry is told of once a minute, with how often it was used meanwhile", () => {
  const observed = new ObservedTargets();
  expect(observed.take(NOW)).toEqual([]);
  expect(observed.note("shop", DB, NOW)).toBe(true);
  expect(observed.note("shop", { ...DB, wouldDeny: false }, NOW + 2_000)).toBe(true);
  const first = { ...DB, wouldDeny: false, count: 2, first: at(0), last: at(2_000) };
  expect(observed.take(NOW + 3_000)).toEqual([{ client: "shop", seen: [first], dropped: 0 }]);
  expect(observed.take(NOW + 3_000)).toEqual([]);
  expect(observed.note("shop", DB, NOW + 4_000)).toBe(false);
  expect(observed.take(NOW + 5_000)).toEqual([]);
  const later = 3_000 + OBSERVED_REPEAT_MS;
  expect(observed.note("shop", DB, NOW + later)).toBe(true);
  const second = { ...DB, count: 2, first: at(4_000), last: at(later) };
  expect(observed.take(NOW + later)).toEqual([{ client: "shop", seen: [second], dropped: 0 }]);
});

test("entries, paths and clients are told of apart", () => {
  const observed = new ObservedTargets();
  observed.note("shop", DB, NOW);
  observed.take(NOW);
  for (const path of ["/v1/*", "/v2/*", null]) {
    expect(observed.note("shop", { ...GET, path }, NOW)).toBe(true);
  }
  expect(observed.note("bank", DB, NOW)).toBe(true);
  const told = observed.take(NOW).map(({ client, seen }) => [client, seen.map(({ path }) => path)]);
  expect(told).toEqual([
    ["shop", ["/v1/*", "/v2/*", null]],
    ["bank", [undefined]],
  ]);
});

test("a client that uses too many takes no room from another, and what is not kept is counted", () => {
  const observed = new ObservedTargets();
  for (let i = 0; i < OBSERVED_PENDING_MAX + 7; i++) {
    observed.note("shop", { ...DB, entry: `tcp://h${i}.test:1` }, NOW);
  }
  // What is kept already is counted on.
  observed.note("shop", { ...DB, entry: "tcp://h0.test:1" }, NOW);
  observed.note("bank", DB, NOW);
  const [shop, bank] = observed.take(NOW);
  expect([shop!.seen.length, shop!.dropped, bank]).toMatchObject([
    OBSERVED_PENDING_MAX,
    7,
    { client: "bank", dropped: 0 },
  ]);
  expect(shop!.seen.find(({ entry }) => entry === "tcp://h0.test:1")?.count).toBe(2);
  expect(observed.take(NOW)).toEqual([]);
});

test("what could not be told is told with the next use, put together with it", () => {
  const observed = new ObservedTargets();
  observed.note("shop", DB, NOW);
  observed.note("shop", GET, NOW);
  const told = observed.take(NOW);
  observed.note("shop", { ...DB, wouldDeny: false }, NOW + 1_000);
  observed.giveBack([{ ...told[0]!, dropped: 3 }]);
  expect(observed.note("shop", { ...DB, wouldDeny: false }, NOW + 2_000)).toBe(true);
  const [{ seen, dropped } = { seen: [], dropped: 0 }] = observed.take(NOW + 2_000);
  expect([dropped, seen]).toEqual([
    3,
    [
      { ...GET, count: 1, first: at(0), last: at(0) },
      { ...DB, wouldDeny: false, count: 3, first: at(0), last: at(2_000) },
    ],
  ]);
});

test("clients are bounded in number", () => {
  const observed = new ObservedTargets();
  for (let i = 0; i <= OBSERVED_CLIENTS_MAX; i++) observed.note(`app-${i}`, DB, NOW);
  const clients = observed.take(NOW).map(({ client }) => client);
  expect([clients.length, clients[0]]).toEqual([OBSERVED_CLIENTS_MAX, "app-1"]);
});
