import { removeOwner } from "./hosts-map.ts";
import { isDismissed } from "./watchdog.ts";

/**
 * What `holdfast hosts-cleanup <file> <pid> <start> <namespace>` does: a watchdog's part, when the agent that started it was killed.
 *
 * @returns the exit code
 */
export async function cleanUpHosts([path, pid, start, space]: readonly string[]): Promise<number> {
  if (path === undefined || pid === undefined || start === undefined || space === undefined) return 2;
  if (!(await isDismissed())) await removeOwner(path, { pid: Number(pid), start, space });
  return 0;
}
