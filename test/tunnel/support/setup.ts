import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectInside } from "../../support/suite.ts";
import { EGRESS, WIRE } from "./hosts.ts";

/** How these tests are named outside of the namespaces that `run.ts` makes, and in there. */
export const SUITE = { name: "test:tunnel", inside: "HOLDFAST_TUNNEL_INSIDE" } as const;

/** Makes the hosts, once for all files; `db` admits the pool's addresses and drops whatever else comes. */
export async function setup(): Promise<() => void> {
  expectInside(SUITE);
  const dir = mkdtempSync(join(tmpdir(), "holdfast-wire-"));
  await WIRE.make(dir);
  await WIRE.inside("db", [
    "nft add table inet filter",
    "nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'",
    "nft add rule inet filter input iif lo accept",
    `nft 'add rule inet filter input ip saddr { ${EGRESS.join(", ")} } accept'`,
    "nft add rule inet filter input counter drop",
  ]);
  return () => rmSync(dir, { recursive: true, force: true });
}
