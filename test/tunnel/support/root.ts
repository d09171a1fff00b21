import type { ChildProcess } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Devices that every program may expect. */
const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"];

/** `$1` is the root, `$2` the folder to start in, then `from:to` of each mount up to a `--`, then the command. */
const ENTER = `
root="$1"; folder="$2"; shift 2
while [ "$1" != -- ]; do
  mount --bind "\${1%%:*}" "$root\${1#*:}" && mount -o remount,bind,ro "$root\${1#*:}"
  shift
done
shift
mount -t proc proc "$root/proc"
for device in ${DEVICES.join(" ")}; do mount --bind "/dev/$device" "$root/dev/$device"; done
exec chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"`;

/** What is shown of the system inside a root. */
export interface RootView {
  /** What is mounted to be read: its path here, and there, where it has to be. */
  readonly mounts?: readonly (readonly [from: string, to: string])[];
  /** Where the command is started; / unless told. */
  readonly folder?: string;
}

/** Makes what a root directory has whatever is in it. */
export function makeRoot(dir: string): void {
  for (const folder of ["dev", "etc", "proc", "root", "tmp"]) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  chmodSync(join(dir, "tmp"), 0o1777);
  for (const device of DEVICES) writeFileSync(join(dir, "dev", device), "");
  writeFileSync(join(dir, "etc/hosts"), "127.0.0.1\tlocalhost\n");
  copyFileSync("/etc/resolv.conf", join(dir, "etc/resolv.conf"));
  writeFileSync(join(dir, "etc/nsswitch.conf"), "hosts: files dns\n");
  writeFileSync(join(dir, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
  writeFileSync(join(dir, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
}

/**
 * The command that runs another one in a root directory, where that is process 1 as in a container; the network is the
 * caller's. All of it ends when the first process ends.
 */
export function enterRoot(dir: string, { mounts = [], folder = "/" }: RootView = {}): string[] {
  const pairs = mounts.map(([from, to]) => `${from}:${to}`);
  const unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"];
  return [...unshare, "sh", "-ec", ENTER, "enter", dir, folder, ...pairs, "--"];
}

/** The environment that a container's first process has, where an image sets none. */
export const ROOT_ENV = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
} as const;

/** The process that is 1 in a root that was entered, by its id here; signals for it go there. */
export function firstProcess({ pid }: ChildProcess): number {
  return childrenOf(pid!)[0]!;
}

/** Every process in a root that was entered, the first one first. */
export function allProcesses({ pid }: ChildProcess): number[] {
  const found: number[] = [];
  const visit = (one: number) => {
    for (const child of childrenOf(one)) {
      found.push(child);
      visit(child);
    }
  };
  visit(pid!);
  return found;
}

function childrenOf(pid: number): number[] {
  const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return ids === "" ? [] : ids.split(" ").map(Number);
}
