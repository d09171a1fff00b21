import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { type Ran, run } from "../../support/run.ts";

/** The C library with its loader, by the names that programs ask for, as Debian's libc6 has them. */
const GLIBC = [
  "ld-linux-x86-64.so.2",
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

/** A root directory, as an image has one. */
export interface BareRoot {
  readonly dir: string;
  /** Puts a file into /usr/local/bin. */
  install(file: string, name?: string): void;
  /** Runs a command there, with processes and devices of its own; the network is the caller's. */
  run(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>;
}

/** Mounts what a container has, and becomes the command: `$1` is the root, the rest the command. */
const ENTER = `
root="$1"; shift
mount -t proc proc "$root/proc"
for device in null zero full random urandom tty; do mount --bind "/dev/$device" "$root/dev/$device"; done
exec chroot "$root" "$@"`;

/**
 * Makes a root directory that holds libraries, busybox with its shell and tools, and nothing else: no Node above all.
 * @param libraries names of shared libraries, copied from this system
 */
export async function bareRoot(dir: string, libraries: readonly string[] = LIBRARIES): Promise<BareRoot> {
  for (const folder of ["bin", "dev", "etc", "lib64", "proc", "root", "tmp", "usr/local/bin"]) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  for (const device of ["null", "zero", "full", "random", "urandom", "tty"]) {
    writeFileSync(join(dir, "dev", device), "");
  }
  writeFileSync(join(dir, "etc/hosts"), "127.0.0.1\tlocalhost\n");
  writeFileSync(join(dir, "etc/nsswitch.conf"), "hosts: files dns\n");
  writeFileSync(join(dir, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
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
    run: (command, args, env = {}) =>
      run(
        "unshare",
        ["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "enter", dir, command, ...args],
        { env: { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", HOME: "/root", ...env }, bare: true },
      ),
  };
}

/** Where this system keeps its 64-bit libraries, by name. */
async function libraryPaths(): Promise<Map<string, string>> {
  const { stdout } = await promisify(execFile)("/sbin/ldconfig", ["-p"]);
  const lines = [...stdout.matchAll(/^\s*(\S+) \(libc6,x86-64[^)]*\) => (\S+)$/gm)];
  const loader = "ld-linux-x86-64.so.2";
  return new Map([...lines.map(([, name, path]) => [name!, path!] as const), [loader, `/lib64/${loader}`]]);
}

/** Every file below a folder of the root, for what must not be there. */
export function filesIn(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" });
}
