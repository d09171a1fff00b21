import type { JWK } from "jose";
import type { EdgeConfig } from "./config.ts";

/** One address that targets see. */
export interface ListedAddress {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  readonly node: string;
  readonly region?: string;
  /** `YYYY-MM-DD`. */
  readonly since: string;
}

/** A change that is planned: an address that will be used from a day on, or no more from a day on. */
export interface PlannedChange extends Omit<ListedAddress, "since"> {
  readonly change: "add" | "remove";
  /** `YYYY-MM-DD`. */
  readonly date: string;
}

/** What `/.well-known/egress.json` tells. */
export interface EgressList {
  readonly issuer: string;
  readonly addresses: readonly ListedAddress[];
  readonly planned: readonly PlannedChange[];
  /** The public keys that receipts are verified with, by node. */
  readonly nodes: readonly { readonly id: string; readonly region?: string; readonly key: JWK }[];
}

/**
 * The published addresses on one day.
 * @param today `YYYY-MM-DD`, UTC
 */
export function egressList({ origin, nodes }: EdgeConfig, today: string): EgressList {
  const addresses: ListedAddress[] = [];
  const planned: PlannedChange[] = [];
  for (const { id: node, region, addresses: list } of nodes) {
    for (const { address, since, until } of list) {
      const family = address.includes(":") ? "ipv6" : "ipv4";
      const entry = { address, family, node, ...(region !== undefined && { region }) } as const;
      if (until !== undefined && until <= today) continue;
      if (since > today) planned.push({ change: "add", date: since, ...entry });
      else addresses.push({ ...entry, since });
      if (until !== undefined) planned.push({ change: "remove", date: until, ...entry });
    }
  }
  return {
    issuer: origin,
    addresses,
    planned: planned.toSorted((a, b) => (a.date < b.date ? -1 : Number(a.date > b.date))),
    nodes: nodes.map(({ id, region, key: { kty, crv, x } }) => ({
      id,
      ...(region !== undefined && { region }),
      key: { kty, crv, x } as JWK,
    })),
  };
}
