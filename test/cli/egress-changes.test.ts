import { describe, expect, test } from "vitest";
import { changeLines, listLines } from "../../cli/egress-changes.ts";
import type { EgressList, ListedAddress, PlannedChange } from "../../protocol/egress-list.ts";

const entry = (address: string, node: string, region?: string): ListedAddress => ({
  address,
  family: address.includes(":") ? "ipv6" : "ipv4",
  node,
  ...(region !== undefined && { region }),
  since: "2026-11-22",
});
const plan = (change: "add" | "remove", address: string, node: string): PlannedChange => ({
  change,
  date: "2027-02-01",
  address,
  family: "ipv4",
  node,
});
const list = (addresses: ListedAddress[], planned: PlannedChange[] = []): EgressList => ({
  issuer: "https://edge.example.com",
  addresses,
  planned,
  nodes: [],
});

const [A, B, C] = ["203.0.113.10", "203.0.113.20", "203.0.113.30"] as const;

test("a list is told in columns, then its plans", () => {
  const told = listLines(
    list(
      [entry(A, "node-1", "fra"), entry("2001:db8::7", "node-12")],
      [plan("remove", A, "node-1"), plan("add", C, "node-3")],
    ),
  );
  expect(told).toEqual([
    "203.0.113.10  ipv4  node-1   fra  since 2026-11-22",
    "2001:db8::7   ipv6  node-12  -    since 2026-11-22",
    "planned 2027-02-01 - address 203.0.113.10 ipv4 node-1",
    "planned 2027-02-01 + address 203.0.113.30 ipv4 node-3",
  ]);
});

describe("what changed", () => {
  test.each([
    { what: "nothing", before: list([entry(A, "node-1")]), after: list([entry(A, "node-1")]), lines: [] },
    {
      what: "an address came",
      before: list([entry(A, "node-1")]),
      after: list([entry(A, "node-1"), entry(B, "node-2", "ams")]),
      lines: [`+ address ${B} ipv4 node-2 ams`],
    },
    {
      what: "one address in place of another",
      before: list([entry(A, "node-1", "fra")]),
      after: list([entry(B, "node-1", "fra")]),
      lines: [`+ address ${B} ipv4 node-1 fra`, `- address ${A} ipv4 node-1 fra`],
    },
    {
      what: "a second node on the same address",
      before: list([entry(A, "node-1")]),
      after: list([entry(A, "node-1"), entry(A, "node-2")]),
      lines: [],
    },
    {
      what: "one of two nodes left an address",
      before: list([entry(A, "node-1"), entry(A, "node-2")]),
      after: list([entry(A, "node-2")]),
      lines: [],
    },
    {
      what: "both left it",
      before: list([entry(A, "node-1"), entry(A, "node-2"), entry(B, "node-3")]),
      after: list([entry(B, "node-3")]),
      lines: [`- address ${A} ipv4 node-1,node-2`],
    },
    {
      what: "plans were made",
      before: list([entry(A, "node-1")]),
      after: list([entry(A, "node-1")], [plan("remove", A, "node-1"), plan("add", B, "node-1")]),
      lines: [
        `planned 2027-02-01 - address ${A} ipv4 node-1`,
        `planned 2027-02-01 + address ${B} ipv4 node-1`,
      ],
    },
    {
      what: "one of two nodes is to leave",
      before: list([entry(A, "node-1"), entry(A, "node-2")]),
      after: list([entry(A, "node-1"), entry(A, "node-2")], [plan("remove", A, "node-1")]),
      lines: [`planned 2027-02-01 - address ${A} ipv4 node-1 (in use by node-2)`],
    },
    {
      what: "plans came true",
      before: list([entry(A, "node-1")], [plan("remove", A, "node-1"), plan("add", B, "node-1")]),
      after: list([entry(B, "node-1")]),
      lines: [`+ address ${B} ipv4 node-1`, `- address ${A} ipv4 node-1`],
    },
    {
      what: "plans were given up",
      before: list([entry(A, "node-1")], [plan("remove", A, "node-1"), plan("add", B, "node-1")]),
      after: list([entry(A, "node-1")]),
      lines: [
        `no longer planned 2027-02-01 - address ${A} ipv4 node-1`,
        `no longer planned 2027-02-01 + address ${B} ipv4 node-1`,
      ],
    },
  ])("$what", ({ before, after, lines }) => {
    expect(changeLines(before, after)).toEqual(lines);
  });
});
