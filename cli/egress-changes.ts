import type { EgressList, ListedAddress, PlannedChange } from "../protocol/egress-list.ts";

/** One line for each entry, in columns, then one for each planned change. */
export function listLines({ addresses, planned }: EgressList): string[] {
  const rows = addresses.map(({ address, family, node, region = "-", since }) => [
    address,
    family,
    node,
    region,
    `since ${since}`,
  ]);
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return [
    ...rows.map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    ),
    ...planned.map((change) => `planned ${plannedText(change, addresses)}`),
  ];
}

/**
 * What has changed between two lists, one line each.
 *
 * An address that several nodes share is told once, and as gone only when the last of them has left it: whoever reads this
 * keeps an allowlist of addresses, not of nodes.
 *
 * @example // ["+ address 203.0.113.30 ipv4 node-3 fra", "planned 2027-02-01 - address 203.0.113.10 ipv4 node-1 fra"]
 */
export function changeLines(before: EgressList, after: EgressList): string[] {
  const [old, current] = [byAddress(before.addresses), byAddress(after.addresses)];
  const [wasPlanned, isPlanned] = [plannedTexts(before), plannedTexts(after)];
  return [
    ...Array.from(current).flatMap(([address, text]) => (old.has(address) ? [] : [`+ address ${text}`])),
    ...Array.from(old).flatMap(([address, text]) => (current.has(address) ? [] : [`- address ${text}`])),
    ...isPlanned.filter((text) => !wasPlanned.includes(text)).map((text) => `planned ${text}`),
    ...before.planned.flatMap((change) => {
      const text = plannedText(change, before.addresses);
      // One that has come true is an address's line, and no plan given up.
      const isDone = (change.change === "add") === current.has(change.address);
      return isPlanned.includes(text) || isDone ? [] : [`no longer planned ${text}`];
    }),
  ];
}

function byAddress(addresses: readonly ListedAddress[]): ReadonlyMap<string, string> {
  return new Map(
    [...Map.groupBy(addresses, ({ address }) => address)].map(([address, entries]) => {
      const nodes = entries.map(({ node }) => node).join(",");
      const regions = new Set(entries.flatMap(({ region = "" }) => (region === "" ? [] : [region])));
      return [address, [address, entries[0]!.family, nodes, ...regions].join(" ")];
    }),
  );
}

function plannedTexts({ planned, addresses }: EgressList): string[] {
  return planned.map((change) => plannedText(change, addresses));
}

function plannedText(
  { change, date, address, family, node, region }: PlannedChange,
  addresses: readonly ListedAddress[],
): string {
  const others = addresses.filter((entry) => entry.address === address && entry.node !== node);
  const stays =
    change === "remove" && others.length > 0
      ? [`(in use by ${others.map((entry) => entry.node).join(",")})`]
      : [];
  const sign = change === "add" ? "+" : "-";
  return [
    date,
    sign,
    "address",
    address,
    family,
    node,
    ...(region === undefined ? [] : [region]),
    ...stays,
  ].join(" ");
}
