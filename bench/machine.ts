import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, release, totalmem } from "node:os";
import { resolve } from "node:path";

/** What figures are worth nothing without. */
export interface Machine {
  readonly processors: string;
  readonly memory: string;
  readonly system: string;
  readonly node: string;
  readonly workerd: string;
  readonly compatibilityDate: string;
  /** Of the project, `+` where its files differ from it. */
  readonly commit: string;
}

const ROOT = resolve(import.meta.dirname, "..");
const require = createRequire(import.meta.url);

/** What of the project a figure may depend on. */
const COMPARED = ["--", ".", ":!docs", ":!bench/results", ":!README.md"];

export function machine(): Machine {
  const list = cpus();
  const { version } = require("workerd/package.json") as { version: string };
  const git = (...args: string[]) => execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).trim();
  // What an earlier workload has written is no change of what is measured.
  const isChanged = git("status", "--porcelain", "--untracked-files=no", ...COMPARED) !== "";
  const wrangler = readFileSync(resolve(ROOT, "wrangler.toml"), "utf8");
  return {
    processors: `${list.length} × ${list[0]!.model.trim()}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    system: `${process.platform} ${release()}`,
    node: process.version,
    workerd: version,
    compatibilityDate: /^compatibility_date = "(.+)"$/m.exec(wrangler)![1]!,
    commit: `${git("rev-parse", "--short", "HEAD")}${isChanged ? "+" : ""}`,
  };
}

const TICKS_PER_SECOND = 100;

/**
 * What a process has computed since its start, in milliseconds: Linux alone tells.
 * @param which also what its children have that are gone, where it waited for them
 */
export function cpuMs(pid: number, which: "alone" | "with what has ended below" = "alone"): number {
  const [user, system, usersBelow, systemBelow] = ticksOf(pid);
  return inMs(user + system + (which === "alone" ? 0 : usersBelow + systemBelow));
}

/** The same of one of a tree, with what has ended below it. Nothing where it has gone since the tree was looked at: its parent counts it then. */
export function computedMs(pid: number): number {
  return orGone(() => cpuMs(pid, "with what has ended below"));
}

/** What of that the system computed for it: its calls, and what they set off. */
export function systemMs(pid: number): number {
  return orGone(() => {
    const [, system, , systemBelow] = ticksOf(pid);
    return inMs(system + systemBelow);
  });
}

/** In the program, in the system for it, and both of its children that have ended. */
function ticksOf(pid: number): [number, number, number, number] {
  // Behind the name, which may hold spaces and brackets of its own.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  return fields.slice(11, 15).map(Number) as [number, number, number, number];
}

const inMs = (ticks: number) => (ticks / TICKS_PER_SECOND) * 1_000;

function orGone(look: () => number): number {
  try {
    return look();
  } catch {
    return 0;
  }
}

/** The memory of a process, in MB. */
export function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1_024;
}
