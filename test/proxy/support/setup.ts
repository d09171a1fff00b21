import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectInside } from "../../support/suite.ts";
import { EGRESS, HOSTS, OTHER_CLIENTS, WIRE } from "./hosts.ts";

/** How these tests are named outside of the namespaces that `run.ts` makes, and in there. */
export const SUITE = { name: "test:proxy", inside: "HOLDFAST_PROXY_INSIDE" } as const;

/**
 * Makes the hosts, once for all files. `target` admits the pool's addresses and drops whatever else comes; from `client`
 * nothing leads but to the name server, the edge and the nodes.
 */
export async function setup(): Promise<() => void> {
  expectInside(SUITE);
  const dir = mkdtempSync(join(tmpdir(), "holdfast-wire-"));
  await WIRE.make(dir);
  await WIRE.inside("target", [
    "nft add table inet filter",
    "nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'",
    "nft add rule inet filter input iif lo accept",
    `nft 'add rule inet filter input ip saddr { ${EGRESS.join(", ")} } accept'`,
    "nft add rule inet filter input counter drop",
  ]);
  const reachable = [HOSTS.dns, HOSTS.edge, ...EGRESS];
  await WIRE.inside("client", [
    ...OTHER_CLIENTS.map((address) => `ip addr add ${address}/32 dev eth0`),
    // What comes from no named address comes from the host's own.
    `ip route replace default dev eth0 src ${HOSTS.client}`,
    "nft add table ip filter",
    "nft 'add chain ip filter output { type filter hook output priority 0; policy drop; }'",
    "nft add rule ip filter output oif lo accept",
    `nft 'add rule ip filter output ip daddr { ${reachable.join(", ")} } accept'`,
    "nft add rule ip filter output counter reject",
  ]);
  return () => rmSync(dir, { recursive: true, force: true });
}

/** How many packets of the client's host meant to go elsewhere. */
export async function strayPackets(): Promise<number> {
  return Number(/packets (\d+)/.exec(await WIRE.inside("client", ["nft list ruleset"]))![1]);
}
