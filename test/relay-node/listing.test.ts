import { describe, expect, test } from "vitest";
import type { EgressList } from "../../protocol/egress-list.ts";
import { isListed, listIn, unlistedReason } from "../../relay-node/listing.ts";

const EDGE = "https://edge.example.com";
const PUBLIC = "203.0.113.10";

const place = (address: string, node: string) => ({ address, family: "ipv4", node }) as const;

/** What the edge publishes: addresses that are in use, and changes of one. */
function listOf(
  addresses: readonly string[],
  changes: readonly ("add" | "remove")[] = [],
  node = "node-1",
): EgressList {
  return {
    issuer: EDGE,
    addresses: addresses.map((address) => ({ ...place(address, node), since: "2026-01-01" })),
    planned: changes.map((change) => ({ change, date: "2026-12-16", ...place(PUBLIC, node) })),
    nodes: [],
  };
}

describe("an address is in use", () => {
  test.each([
    { what: "as the only one", list: listOf([PUBLIC]), listed: true },
    { what: "beside another one", list: listOf(["203.0.113.11", PUBLIC]), listed: true },
    { what: "and soon no more", list: listOf([PUBLIC], ["remove"]), listed: true },
    { what: "later", list: listOf(["203.0.113.11"], ["add"]), listed: false },
    { what: "later, and then no more", list: listOf([], ["add", "remove"]), listed: false },
    { what: "no more", list: listOf(["203.0.113.11"]), listed: false },
    { what: "where nothing is published", list: listOf([]), listed: false },
  ])("$what: $listed", ({ list, listed }) => {
    expect(isListed(list, "node-1", PUBLIC)).toBe(listed);
  });

  test("for its own node alone", () => {
    const list = listOf([PUBLIC], [], "node-2");
    expect(isListed(list, "node-1", PUBLIC)).toBe(false);
    expect(isListed(list, "node-2", PUBLIC)).toBe(true);
  });

  test("in whichever way an IPv6 address is written", () => {
    const list = listOf(["2001:DB8:0::0:7"]);
    expect(isListed(list, "node-1", "2001:db8::7")).toBe(true);
    expect(isListed(list, "node-1", "2001:db8::8")).toBe(false);
  });
});

test.each([
  { what: "missing", list: listOf(["203.0.113.11"]), more: "" },
  { what: "planned", list: listOf([], ["add"]), more: " (planned from 2026-12-16)" },
  { what: "another node's", list: listOf([PUBLIC], ["add"], "node-2"), more: "" },
])("the reason of one that is $what", ({ list, more }) => {
  const reason = `ipv4: ${PUBLIC} is not in the list that the edge publishes for node-1${more}`;
  expect(unlistedReason("ipv4", PUBLIC, "node-1", list)).toBe(reason);
});

describe("an answer of the edge", () => {
  test("is read as its list", () => {
    expect(listIn(JSON.stringify(listOf([PUBLIC])), EDGE)).toEqual(listOf([PUBLIC]));
  });

  test.each([
    { what: "no JSON", text: "<html>" },
    { what: "null", text: "null" },
    { what: "no list", text: "{}" },
    { what: "an entry that is none", text: JSON.stringify({ ...listOf([PUBLIC]), addresses: [{}] }) },
    {
      what: "another edge's",
      text: JSON.stringify({ ...listOf([PUBLIC]), issuer: "https://other.example.com" }),
    },
  ])("that holds $what is none", ({ text }) => {
    expect(listIn(text, EDGE)).toBeUndefined();
  });
});
