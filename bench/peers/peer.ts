import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { installMissing } from "../../test/support/debian-packages.ts";
import type { Process } from "../processes.ts";
import type { Peer } from "../workload.ts";

/** A peer that runs. */
export interface RunningPeer extends Peer {
  readonly process: Process;
  readonly host: string;
  readonly port: number;
}

/** Where a peer listens, and with what folder of its own. */
export interface PeerPlace {
  readonly dir: string;
  readonly host: string;
  readonly port: number;
  readonly core: number | readonly number[];
  /** PEM files, where it is to be spoken to over TLS. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
}

/** Installs a peer's package of Debian's, and tells its version. */
export async function debianVersion(name: string): Promise<string> {
  await installMissing([name], "bench");
  const { stdout } = await promisify(execFile)("dpkg-query", ["-W", "-f=${Version}", name]);
  return `${stdout} (Debian)`;
}

/** What was started of those that were asked for, and who could not be had. */
export interface Peers<Name extends string> {
  readonly running: Partial<Record<Name, RunningPeer>>;
  readonly missing: { name: string; why: string }[];
}

/** Starts each; one that can't be had is named, not left out. */
export async function startPeers<Name extends string>(
  starters: Readonly<Record<Name, () => Promise<RunningPeer>>>,
): Promise<Peers<Name>> {
  const peers: Peers<Name> = { running: {}, missing: [] };
  for (const name of Object.keys(starters) as Name[]) {
    try {
      peers.running[name] = await starters[name]();
    } catch (error) {
      peers.missing.push({ name, why: (error as Error).message.split("\n")[0]! });
    }
  }
  return peers;
}
