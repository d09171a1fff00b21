import { describe, expect, test } from "vitest";
import { newRequestId } from "../../protocol/tokens.ts";
import type { EdgeNode } from "../../worker/config.ts";
import { rankNodes } from "../../worker/nodes.ts";
import { nearnessOf, type Nearness, orderNodes, type Place } from "../../worker/order.ts";

const FRANKFURT = { latitude: 50.1, longitude: 8.7 };
const VIRGINIA = { latitude: 38.9, longitude: -77.4 };
const SYDNEY = { latitude: -33.9, longitude: 151.2 };
const AUCKLAND = { latitude: -36.8, longitude: 174.8 };
const HAWAII = { latitude: 21.3, longitude: -157.8 };
const FIJI = { latitude: -17.7, longitude: 178.1 };
const SAMOA = { latitude: -13.8, longitude: -171.8 };

const node = (id: string, region?: string): EdgeNode => ({
  id,
  url: `https://${id}.example.com`,
  region,
  key: { kty: "OKP" },
  addresses: [{ address: "203.0.113.10", since: "2026-11-22" }],
});
const NODES = [
  node("f1", "fra"),
  node("f2", "fra"),
  node("f3", "fra"),
  node("v1", "iad"),
  node("s1", "syd"),
  node("x"),
];
const REGIONS = { fra: FRANKFURT, iad: VIRGINIA, syd: SYDNEY };
const IDS = Array.from({ length: 3_000 }, newRequestId);

const near = (here?: Place, region?: string, regions: Record<string, Place> = REGIONS): Nearness => ({
  here,
  region,
  regions: new Map(Object.entries(regions)),
});
const order = (
  id: string,
  {
    down = [],
    nearness = near(),
    nodes = NODES,
  }: { down?: string[]; nearness?: Nearness; nodes?: EdgeNode[] } = {},
) => orderNodes(nodes, id, (one) => !down.includes(one), nearness).map((one) => one.id);
const regionOf = (id: string) => NODES.find((one) => one.id === id)!.region;

describe("the order in which nodes are tried", () => {
  test("is that of the request's id, where nothing else is known", () => {
    for (const id of IDS.slice(0, 100)) {
      expect(order(id)).toEqual(rankNodes(NODES, id).map((one) => one.id));
    }
  });

  test("has what is up before what is down, and leaves nothing out", () => {
    for (const id of IDS.slice(0, 100)) {
      const ranked = rankNodes(NODES, id).map((one) => one.id);
      const down = ["f2", "s1", "x"];
      const isDown = (one: string) => down.includes(one);
      expect(order(id, { down })).toEqual([
        ...ranked.filter((one) => !isDown(one)),
        ...ranked.filter(isDown),
      ]);
      expect(order(id, { down: NODES.map((one) => one.id) })).toEqual(ranked);
    }
  });

  test("has a far node that is up before a near one that is down", () => {
    for (const id of IDS.slice(0, 100)) {
      const tried = order(id, { down: ["f1", "f2", "f3"], nearness: near(FRANKFURT) });
      expect(tried.slice(0, 3)).toEqual(["v1", "s1", "x"]);
      expect(tried.slice(3).toSorted()).toEqual(["f1", "f2", "f3"]);
    }
  });

  test.each([
    {
      what: "a caller in Paris",
      nearness: near({ latitude: 48.9, longitude: 2.4 }),
      regions: ["fra", "fra", "fra", "iad", "syd", undefined],
    },
    {
      what: "a caller in New York",
      nearness: near({ latitude: 40.7, longitude: -74 }),
      regions: ["iad", "fra", "fra", "fra", "syd", undefined],
    },
    {
      what: "a caller in Auckland",
      nearness: near(AUCKLAND),
      regions: ["syd", "iad", "fra", "fra", "fra", undefined],
    },
    {
      what: "an edge in one region",
      nearness: near(undefined, "syd"),
      regions: ["syd", "iad", "fra", "fra", "fra", undefined],
    },
    {
      what: "an edge in a region that has no place",
      nearness: near(undefined, "iad", {}),
      regions: ["iad", "any", "any", "any", "any", "any"],
    },
    {
      what: "an edge whose region is meant to be the nearest, wherever the caller is",
      nearness: near(AUCKLAND, "fra"),
      regions: ["fra", "fra", "fra", "syd", "iad", undefined],
    },
    {
      what: "an edge in a region without nodes",
      nearness: near(undefined, "akl", { ...REGIONS, akl: AUCKLAND }),
      regions: ["syd", "iad", "fra", "fra", "fra", undefined],
    },
  ])("is the nearest region first: $what", ({ nearness, regions }) => {
    for (const id of IDS.slice(0, 50)) {
      const tried = order(id, { nearness }).map(regionOf);
      expect(tried.map((region, i) => (regions[i] === "any" ? "any" : region))).toEqual(regions);
    }
  });

  test("measures over the date line and not round the other way", () => {
    const nodes = [node("h", "hnl"), node("w", "apw")];
    const nearness = near(FIJI, undefined, { hnl: HAWAII, apw: SAMOA });
    for (const id of IDS.slice(0, 20)) expect(order(id, { nodes, nearness })).toEqual(["w", "h"]);
  });

  test.each([
    { what: "of the nearest region", nearness: near(FRANKFURT), among: ["f1", "f2", "f3"] },
    {
      what: "of two regions at one place",
      nearness: near(VIRGINIA, undefined, { iad: VIRGINIA, syd: VIRGINIA }),
      among: ["v1", "s1"],
    },
    {
      what: "where places are unknown",
      nearness: near(FRANKFURT, undefined, {}),
      among: NODES.map((one) => one.id),
    },
  ])("spreads requests evenly over the nodes $what", ({ nearness, among }) => {
    const shares = new Map<string, number>();
    for (const id of IDS) {
      const first = order(id, { nearness })[0]!;
      shares.set(first, (shares.get(first) ?? 0) + 1);
    }
    expect([...shares.keys()].toSorted()).toEqual(among.toSorted());
    const even = IDS.length / among.length;
    // Five standard deviations of a fair draw.
    const margin = 5 * Math.sqrt(even * (1 - 1 / among.length));
    for (const share of shares.values()) expect(Math.abs(share - even)).toBeLessThan(margin);
  });

  test("spreads what a node of a region leaves over the others of that region alone", () => {
    const left = new Set(IDS.map((id) => order(id, { down: ["f1"], nearness: near(FRANKFURT) })[0]));
    expect([...left].toSorted((a, b) => (a! < b! ? -1 : 1))).toEqual(["f2", "f3"]);
  });
});

describe("where a request came in", () => {
  const config = { region: "fra", regions: new Map([["fra", FRANKFURT]]) };
  const at = (cf?: object) =>
    nearnessOf(
      Object.assign(new Request("https://edge.example.com/"), cf === undefined ? {} : { cf }),
      config,
    );
  test.each([
    {
      what: "Cloudflare's word, which is text",
      cf: { latitude: "48.85", longitude: "2.35" },
      here: { latitude: 48.85, longitude: 2.35 },
    },
    {
      what: "the middle of the map",
      cf: { latitude: "0", longitude: "0" },
      here: { latitude: 0, longitude: 0 },
    },
    { what: "nothing: a runtime without it", cf: undefined, here: undefined },
    { what: "nothing: an address without a place", cf: { country: "T1" }, here: undefined },
    { what: "nothing: half a place", cf: { latitude: "48.85" }, here: undefined },
    { what: "nothing: no number", cf: { latitude: "north", longitude: "2" }, here: undefined },
    { what: "nothing: empty text", cf: { latitude: "", longitude: "" }, here: undefined },
  ])("$what", ({ cf, here }) => {
    expect(at(cf)).toEqual({ ...config, here });
  });
});
