import { readFileSync } from "node:fs";
import { isatty } from "node:tty";

/**
 * Whether this process's group is the one in front of its terminal: then the terminal itself sends Ctrl-C and its like to
 * every process of the group, the child among them.
 */
export function isInForeground(): boolean {
  try {
    return isForegroundStat(readFileSync("/proc/self/stat", "latin1"));
  } catch {
    return isatty(0) || isatty(2);
  }
}

/** proc(5): behind the name in brackets stand state, parent, group, session, terminal and the terminal's group. */
export function isForegroundStat(stat: string): boolean {
  const [, , group, , terminal, foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return terminal !== "0" && foreground === group;
}
