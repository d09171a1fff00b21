import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EGRESS, WIRE } from "./hosts.ts";

/** Says that a process is in the namespaces that `run.ts` makes. */
export const INSIDE = "HOLDFAST_TUNNEL_INSIDE";

/** Makes the hosts, once for all files; `db` admits the pool's addresses and drops whatever else comes. */
export async function setup(): Promise<() => void> {
  if (process.env[INSIDE] === undefined) {
    throw new Error("these tests change the network that they run in: start them by npm run test:tunnel");
  }
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
