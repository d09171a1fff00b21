import { copyFileSync, cpSync, lstatSync, mkdirSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { enterRoot, makeRoot } from "./root.ts";

/** Programs and libraries, as Debian's images have them. */
const SYSTEM = ["usr", "bin", "sbin", "lib", "lib64"];

/** What stands in an image beside the system. */
export interface ImagePlan {
  /** Programs in /usr/local/bin: a file of this system by its name there. */
  readonly programs: Readonly<Record<string, string>>;
  /** What is copied into it, in order: a path there, and the folders here whose content it gets. */
  readonly copies: Readonly<Record<string, readonly string[]>>;
  /** Where its commands are started. */
  readonly folder: string;
}

/**
 * Lays out a root directory that shows this system's programs and holds an app and an `/etc` of its own, as a container of a
 * Debian image does.
 * @returns the command that runs another one in it, as process 1
 */
export function image(dir: string, { programs, copies, folder }: ImagePlan): string[] {
  const root = join(dir, "root");
  const local = join(dir, "programs");
  makeRoot(root);
  mkdirSync(local, { recursive: true });
  const mounts: [string, string][] = [];
  for (const name of SYSTEM) {
    // Most of them are links into /usr.
    if (lstatSync(`/${name}`).isSymbolicLink()) symlinkSync(readlinkSync(`/${name}`), join(root, name));
    else {
      mkdirSync(join(root, name));
      mounts.push([`/${name}`, `/${name}`]);
    }
  }
  mounts.push([local, "/usr/local/bin"]);
  copyFileSync("/etc/ld.so.cache", join(root, "etc/ld.so.cache"));
  for (const [name, file] of Object.entries(programs)) copyFileSync(file, join(local, name));
  for (const [there, folders] of Object.entries(copies)) {
    for (const from of folders) cpSync(from, join(root, there), { recursive: true });
  }
  return enterRoot(root, { mounts, folder });
}
