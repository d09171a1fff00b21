import type { JWK } from "jose";
import type { EgressList, ListedAddress, PlannedChange } from "../protocol/egress-list.ts";
import type { BoundKey } from "../protocol/keys.ts";
import { EGRESS_LIST_SECONDS } from "../protocol/limits.ts";
import { signToken } from "../protocol/tokens.ts";
import type { EdgeConfig } from "./config.ts";

/**
 * The published addresses on one day.
 * @param today `YYYY-MM-DD`, UTC
 */
export function egressList(
  { origin, nodes }: Pick<EdgeConfig, "origin" | "nodes">,
  today: string,
): EgressList {
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

/** What a list is signed with. */
interface Signer {
  readonly config: EdgeConfig;
  signingKey(): Promise<BoundKey>;
}

/**
 * The published addresses, signed by the edge: what `verifyEgressList` takes.
 * @param now seconds since 1970
 * @throws RelayError `edge_misconfigured`
 */
export async function signedEgressList(edge: Signer, now: number): Promise<string> {
  const list = egressList(edge.config, new Date(now * 1_000).toISOString().slice(0, 10));
  const claims = { ...list, iat: now, exp: now + EGRESS_LIST_SECONDS };
  return signToken("egress", claims, await edge.signingKey(), edge.config.signingKey.kid);
}
