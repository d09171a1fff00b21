import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { type Ran, run } from "../../support/run.ts";
import { enterRoot, makeRoot, ROOT_ENV } from "./root.ts";

/** The C library with its loader, by the names that programs ask for, as Debian's libc6 has them. */
const LOADER = "ld-linux-x86-64.so.2";
const GLIBC = [
  LOADER,
  "libc.so.6",
  "libm.so.6",
  "libdl.so.2",
  "libpthread.so.0",
  "libresolv.so.2",
  "libnss_files.so.2",
  "libnss_dns.so.2",
];

/** What the binary needs besides: libgcc-s1, libstdc++6 and libatomic1. */
const BESIDES = ["libgcc_s.so.1", "libstdc++.so.6", "libatomic.so.1"];

/** Every library that docs/binary.md names. */
export const LIBRARIES: readonly string[] = [...GLIBC, ...BESIDES];

/** A root directory, as the image of a program without a distribution has one. */
export interface BareRoot {
  readonly dir: string;
  /** Puts a file into /usr/local/bin. */
  install(file: string, name?: string): void;
  /** Puts a file to a path there, in a folder that is there. */
  add(file: string, path: string): void;
  /**
   * Runs a command there, with the network of `by`: the caller's unless told.
   * @param by a command that runs the rest on another host
   */
  run(
    command: readonly string[],
    env?: Readonly<Record<string, string>>,
    by?: readonly string[],
  ): Promise<Ran>;
}

/**
 * Makes a root directory that holds libraries, busybox with its shell and tools, and nothing else: no Node above all.
 * @param libraries names of shared libraries, copied from this system
 */
export async function bareRoot(dir: string, libraries: readonly string[] = LIBRARIES): Promise<BareRoot> {
  makeRoot(dir);
  for (const folder of ["bin", "usr/local/bin"]) mkdirSync(join(dir, folder), { recursive: true });
  const paths = await libraryPaths();
  for (const name of libraries) {
    const path = paths.get(name);
    if (path === undefined) throw new Error(`this system has no ${name}`);
    // This system's loader looks where this system has them.
    mkdirSync(join(dir, dirname(path)), { recursive: true });
    copyFileSync(path, join(dir, path));
  }
  copyFileSync("/bin/busybox", join(dir, "bin/busybox"));
  const { stdout } = await promisify(execFile)("/bin/busybox", ["--list"]);
  for (const applet of stdout.trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", join(dir, "bin", applet));
  }
  return {
    dir,
    install: (file, name = basename(file)) => copyFileSync(file, join(dir, "usr/local/bin", name)),
    add: (file, path) => copyFileSync(file, join(dir, path)),
    run: (command, env = {}, by = []) => {
      const [file, ...args] = [...by, ...enterRoot(dir), ...command] as [string, ...string[]];
      return run(file, args, { env: { ...ROOT_ENV, ...env }, bare: true });
    },
  };
}

/** Where this system keeps its 64-bit libraries, by name. */
async function libraryPaths(): Promise<Map<string, string>> {
  const { stdout } = await promisify(execFile)("/sbin/ldconfig", ["-p"]);
  const lines = [...stdout.matchAll(/^\s*(\S+) \(libc6,x86-64[^)]*\) => (\S+)$/gm)];
  return new Map([...lines.map(([, name, path]) => [name!, path!] as const), [LOADER, `/lib64/${LOADER}`]]);
}

/** Every file below a folder, for what must not be there. */
export function filesIn(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" });
}
