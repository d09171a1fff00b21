import { CLEANUP_COMMAND } from "./cleanup-command.ts";
import { editHosts } from "./hosts-file.ts";
import { addLines, isSame, removeLines } from "./hosts-lines.ts";
import type { NameEntry, NameMap } from "./name-map.ts";
import { isGone, ownIdentity, type ProcessIdentity } from "./process-identity.ts";
import { startWatchdog } from "./watchdog.ts";

/** The system's own hosts file. */
export const HOSTS_FILE = "/etc/hosts";

/**
 * Lets names lead to addresses by the hosts file, for every program on this machine. Lines of agents that ended without taking
 * theirs out are taken out first.
 *
 * @throws Error of the system's where the file can't be written
 */
export async function mapByHosts(entries: readonly NameEntry[], path = HOSTS_FILE): Promise<NameMap> {
  const owner = ownIdentity();
  // Before the first line is written: whatever happens from here on, it will be taken out.
  const watchdog = startWatchdog([CLEANUP_COMMAND, path, String(owner.pid), owner.start, owner.space]);
  try {
    await editHosts(path, (text) => addLines(removeLines(text, isGone), owner, entries));
  } catch (error) {
    await watchdog.dismiss();
    throw error;
  }
  let closing: Promise<void> | undefined;
  const close = async () => {
    await removeOwner(path, owner).catch(() => {});
    await watchdog.dismiss();
  };
  return { kind: "hosts", env: {}, close: () => (closing ??= close()) };
}

/** Takes out an owner's lines, and those of all others that have ended. */
export async function removeOwner(path: string, owner: ProcessIdentity): Promise<void> {
  await editHosts(path, (text) => removeLines(text, (one) => isSame(one, owner) || isGone(one)));
}
