import { readFileSync, readlinkSync } from "node:fs";

/** A process, told from a later one that got the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start, from /proc. */
  readonly start: string;
  /** The pid namespace in which `pid` counts: containers may share a hosts file and no namespace. */
  readonly space: string;
}

/**
 * Who this process is.
 * @throws Error where there is no /proc to tell it
 */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, start: statOf("self").start, space: ownSpace() };
}

/** Whether a process has ended. One in another pid namespace can't be judged from here, and counts as running. */
export function isGone(owner: ProcessIdentity): boolean {
  if (owner.space !== ownSpace()) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return true;
  }
  try {
    const { state, start } = statOf(String(owner.pid));
    return start !== owner.start || state === "Z" || state === "X";
  } catch {
    // Another user's, where /proc shows only one's own.
    return false;
  }
}

function ownSpace(): string {
  return readlinkSync("/proc/self/ns/pid").replaceAll(/[^0-9]/g, "");
}

/** proc(5): the third and the 22nd field; the second one, the name in brackets, may hold anything. */
function statOf(pid: string): { state: string; start: string } {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, start: fields[19]! };
}
