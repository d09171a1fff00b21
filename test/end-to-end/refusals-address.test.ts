import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Got, Question } from "../support/isolated-relay.ts";
import { type Isolated, startIsolated } from "../support/isolated.ts";

/**
 * Addresses that no node may dial, each by literal, by name and by rebinding, through a whole stack in a network
 * namespace where every address would answer. So a guard that failed would be seen to connect, and could reach nobody.
 */

let isolated: Isolated;
const ask = <Answer>(question: Question) => isolated.ask<Answer>(question);
const get = (url: string, node?: string) =>
  ask<Got>({ what: "get", url, ...(node !== undefined && { node }) });

beforeAll(async () => {
  isolated = await startIsolated(join(import.meta.dirname, "../support/isolated-relay.ts"));
});
afterAll(async () => {
  try {
    expect(await ask({ what: "alive" })).toBe(true);
  } finally {
    await isolated.stop();
  }
});

/** Class, as the guard names it, and addresses of it. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  loopback: ["127.0.0.1", "127.0.0.53", "127.255.255.254"],
  this_network: ["0.0.0.0", "0.0.0.1", "0.255.255.255"],
  private: [
    "10.0.0.1",
    "10.255.255.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "fc00::1",
    "fdff::1",
  ],
  shared: ["100.64.0.1", "100.127.255.254"],
  link_local: ["169.254.1.1", "169.254.255.254", "fe80::1", "febf::1"],
  multicast: ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
  reserved: ["240.0.0.1", "255.255.255.254", "4000::1", "c000::1", "1::1"],
  broadcast: ["255.255.255.255"],
  protocol: ["192.0.0.1", "192.0.0.171", "2001:2::1", "2001:20::1"],
  documentation: ["192.0.2.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
  benchmark: ["198.18.0.1", "198.19.255.254"],
  as112: ["192.31.196.1", "192.175.48.1", "2620:4f:8000::1"],
  amt: ["192.52.193.1"],
  "6to4": ["192.88.99.1", "2002:7f00:1::1", "2002:a14:1::", "2002:808:808::1"],
  unspecified: ["::"],
  discard: ["100::1"],
  srv6: ["5f00::1"],
  site_local: ["fec0::1", "feff::1"],
  ipv4_mapped: ["::ffff:7f00:1", "::ffff:7f00:9", "::ffff:a9fe:a9fe", "::ffff:808:808"],
  ipv4_compatible: ["::7f00:1", "::a14:1", "::808:808", "::2"],
  ipv4_translated: ["::ffff:0:7f00:1", "::ffff:0:808:808"],
  nat64: [
    "64:ff9b::7f00:1",
    "64:ff9b::a14:1",
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1:7f00:0:100::",
  ],
  teredo: ["2001:0:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"],
  isatap: ["2600::5efe:7f00:1", "2600::200:5efe:a14:1", "fe80::5efe:a00:1", "fd12::5efe:a14:1"],
  metadata: [
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
  ],
  // What the nodes bind, and what the world sees of them; the latter two lie in opened ranges.
  own: ["127.0.0.2", "::1", "198.51.100.7", "fd12::7"],
};

const ROWS = Object.entries(REFUSED).flatMap(([reason, addresses]) =>
  addresses.map((address) => [address, reason] as const),
);
const OPENED = [
  "127.0.0.9",
  "10.20.0.1",
  "10.20.255.254",
  "100.100.1.1",
  "198.51.100.8",
  "fd12::8",
  "fd00:ec2::1",
];
/** Right beside what is opened. */
const BESIDE = [
  "127.0.0.7",
  "127.0.0.16",
  "10.19.255.255",
  "10.21.0.0",
  "100.99.255.255",
  "100.101.0.0",
  "fd13::1",
  "fd00:ec3::1",
];

const urlOf = (host: string, scheme = "http") =>
  `${scheme}://${host.includes(":") ? `[${host}]` : host}:8080/`;
const nameOf = (address: string, kind: string) =>
  `${kind}-${address.replaceAll(/[.:]/g, "-").replaceAll(/^-|-$/g, "x")}.example.test`;
const recordOf = (address: string) => ({ [address.includes(":") ? "AAAA" : "A"]: [address], ttl: 0 });

const refusedAs = (reason: string) => ({
  status: 403,
  mark: "address_refused",
  reached: "no",
  detail: expect.stringMatching(new RegExp(`: ${reason}$`)) as string,
  connections: 0,
  connectedTo: [],
});
const relayedTo = (address: string) => ({
  status: 200,
  mark: "target",
  connections: 1,
  connectedTo: [address],
});

describe("by literal", () => {
  test.each(OPENED)("%s is opened and reached", async (address) => {
    expect(await get(urlOf(address))).toMatchObject(relayedTo(address));
  });
  test.each(ROWS)("%s is refused: %s", async (address, reason) => {
    expect(await get(urlOf(address))).toMatchObject(refusedAs(reason));
    expect(await get(urlOf(address, "https"))).toMatchObject(refusedAs(reason));
  });
  test.each(BESIDE)("%s, beside an opened range, is refused", async (address) => {
    expect(await get(urlOf(address))).toMatchObject(refusedAs("(loopback|private|shared)"));
  });
  test.each(["localhost", "LOCALHOST", "x.localhost", "metadata.localhost"])(
    "%s is loopback without DNS",
    async (host) => {
      expect(await get(urlOf(host))).toMatchObject(refusedAs("(loopback|own)"));
    },
  );
});

describe("by name", () => {
  test.each([...ROWS, ...BESIDE.map((address) => [address, "(loopback|private|shared)"] as const)])(
    "a name for %s is refused: %s",
    async (address, reason) => {
      const name = nameOf(address, "name");
      await ask({ what: "names", records: { [name]: recordOf(address) } });
      expect(await get(urlOf(name))).toMatchObject(refusedAs(reason));
      expect(await ask({ what: "queries", name })).toBe(2);
    },
  );
  test.each(OPENED)("a name for %s is reached", async (address) => {
    const name = nameOf(address, "name");
    await ask({ what: "names", records: { [name]: recordOf(address) } });
    expect(await get(urlOf(name))).toMatchObject(relayedTo(address));
  });
});

describe("by rebinding", () => {
  const goodOf = (address: string) => (address.includes(":") ? "fd12::8" : "127.0.0.9");
  const name = (address: string) => nameOf(address, "rebound");
  let first: Map<string, Got>;
  let second: Map<string, Got>;

  /** One after the other, at one node, so that each row's connections are its own. */
  const all = async () => {
    const got = new Map<string, Got>();
    for (const [address] of ROWS) got.set(address, await get(urlOf(name(address)), "node-1"));
    return got;
  };
  beforeAll(async () => {
    await ask({
      what: "names",
      records: Object.fromEntries(ROWS.map(([address]) => [name(address), recordOf(goodOf(address))])),
    });
    first = await all();
    await ask({
      what: "names",
      records: Object.fromEntries(ROWS.map(([address]) => [name(address), recordOf(address)])),
    });
    // A TTL of 0 is kept for a second.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    second = await all();
  });

  test.each(ROWS)("a name that turns to %s is refused from then on: %s", (address, reason) => {
    expect(first.get(address)).toMatchObject(relayedTo(goodOf(address)));
    expect(second.get(address)).toMatchObject(refusedAs(reason));
  });

  test("the address that is dialled is the one that was judged: one look-up, whatever the next would say", async () => {
    const flips = "flips.example.test";
    await ask({ what: "names", records: { [flips]: { A: ["127.0.0.9"], ttl: 0 } } });
    const asked = get(urlOf(flips), "node-1");
    const got = await asked;
    await ask({ what: "names", records: { [flips]: { A: ["127.0.0.1"], ttl: 0 } } });
    expect(got).toMatchObject(relayedTo("127.0.0.9"));
    expect(await ask({ what: "queries", name: flips })).toBe(2);
  });

  const MIXED: readonly (readonly [string, { A?: string[]; AAAA?: string[] }])[] = [
    ["the bad one last", { A: ["127.0.0.9", "10.20.0.1", "10.0.0.1"] }],
    ["the bad one first", { A: ["10.0.0.1", "127.0.0.9"] }],
    [
      "the bad one behind more than are tried",
      { A: [...Array.from({ length: 12 }, (_, i) => `10.20.0.${i + 1}`), "169.254.169.254"] },
    ],
    ["a good A and a bad AAAA", { A: ["127.0.0.9"], AAAA: ["::ffff:a14:1"] }],
    ["a bad A and a good AAAA", { A: ["169.254.169.254"], AAAA: ["fd12::8"] }],
    ["good AAAA, one of them its own address", { AAAA: ["fd12::8", "fd12::7"] }],
  ];
  test.each(MIXED)("one bad answer among good ones: %s", async (what, record) => {
    const mixed = `${what.replaceAll(/[^a-z]+/gi, "-").toLowerCase()}.example.test`;
    await ask({ what: "names", records: { [mixed]: { ...record, ttl: 0 } } });
    expect(await get(urlOf(mixed))).toMatchObject(refusedAs("[a-z0-9_]+"));
  });

  test("a redirect to a refused address is handed to the caller, not followed", async () => {
    // It has been reached before, so that a second connection may be made ahead.
    expect(await get("http://127.0.0.9:8080/redirect")).toMatchObject({
      mark: "target",
      connectedTo: ["127.0.0.9"],
    });
  });
});

test("no refused address was connected to, early or late", async () => {
  const before = await ask<number>({ what: "connections" });
  for (const [address] of ROWS) await get(urlOf(address));
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(await ask({ what: "connections" })).toBe(before);
});
